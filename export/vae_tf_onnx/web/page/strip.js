/** A row of small decodes, each a button. */

/** Shows `count` examples in the element `id`; `onPick` hears the number of the one that is pressed. */
export class Strip {
  #painter;
  #cells;

  constructor(id, count, painter, onPick) {
    this.#painter = painter;
    document.getElementById(id).style.setProperty("--count", count);
    this.#cells = Array.from({ length: count }, (_, i) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("span");
      button.type = "button";
      canvas.className = "pixels";
      canvas.setAttribute("aria-hidden", "true");
      caption.setAttribute("aria-hidden", "true");
      button.append(canvas, caption);
      button.addEventListener("click", () => onPick(i));
      document.getElementById(id).append(button);
      return { button, canvas, caption };
    });
  }

  /** Paints examples, which lie end to end in `values`, with a caption and a name for screen readers for each. */
  show(values, captions, names) {
    const size = values.length / this.#cells.length;
    this.#cells.forEach(({ button, canvas, caption }, i) => {
      this.#painter.paint(canvas, values.subarray(i * size, (i + 1) * size));
      caption.textContent = captions[i];
      button.setAttribute("aria-label", names[i]);
    });
  }
}

/** Row `i` of `count` rows that lie end to end. */
export function row(values, i, count) {
  const size = values.length / count;
  return values.slice(i * size, (i + 1) * size);
}
