/** A slider for each latent, the one with the largest KL first. */

const UNUSED = 0.01; // nats
const STEPS = 240; // of a slider, which counts them: its range is 0 to STEPS

/** Fills the list; `onSelect` hears which latent is in use. */
export class Sliders {
  #latents;
  #inputs = [];

  constructor(latents, facts, onSelect) {
    this.#latents = latents;
    const list = document.getElementById("latents");
    const unused = document.getElementById("unused-latents");
    for (const index of latents.order) {
      const isUnused = latents.kl !== null && latents.kl[index] < UNUSED;
      (isUnused ? unused : list).append(this.#row(index, onSelect));
    }
    this.#describe(unused.children.length, facts);
    latents.subscribe(() => this.#follow());
    this.#follow();
  }

  #describe(count, { source, order_note: orderNote }) {
    const range = `Each range is mean ± 3 standard deviations of ${source}.`;
    document.getElementById("latents-note").textContent = orderNote + range;
    document.getElementById("unused").hidden = count === 0;
    document.getElementById("unused-summary").textContent = `${count} unused, below ${UNUSED} nats`;
  }

  #row(index, onSelect) {
    const row = document.getElementById("latent-row").content.firstElementChild.cloneNode(true);
    const [label, input, value, kl] = row.children;
    input.id = `z${index}`;
    label.htmlFor = input.id;
    label.textContent = `z${index}`;
    value.htmlFor = input.id;
    [input.min, input.max] = [0, STEPS];
    input.addEventListener("input", () => {
      this.#latents.move([[index, this.#latents.at(index, input.valueAsNumber / STEPS)]]);
    });
    input.addEventListener("focus", () => onSelect(index));
    input.addEventListener("pointerdown", () => onSelect(index));
    if (this.#latents.kl !== null) {
      kl.id = `kl${index}`;
      input.setAttribute("aria-describedby", kl.id);
      this.#showKl(kl, this.#latents.kl[index]);
    }
    this.#inputs[index] = { input, value };
    return row;
  }

  #showKl(element, kl) {
    element.textContent = `KL ${kl.toFixed(2)}`;
    element.style.setProperty("--share", kl / Math.max(...this.#latents.kl, Number.MIN_VALUE));
  }

  #follow() {
    this.#inputs.forEach(({ input, value }, index) => {
      const text = this.#latents.values[index].toFixed(2);
      input.value = STEPS * this.#latents.fraction(index);
      input.setAttribute("aria-valuetext", text);
      value.textContent = text;
    });
  }
}

/** Fills a select with the latents, in order, and chooses one. */
export function fillSelect(select, latents, chosen) {
  for (const index of latents.order) {
    select.append(new Option(`z${index}`, index));
  }
  select.value = chosen;
}
