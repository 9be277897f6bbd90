/** Two latents at once: a square with the decodes of a grid behind, and a point to move. */

import { latest, REPAINT } from "./schedule.js";
import { fillSelect } from "./sliders.js";

const CELLS = 9;
const WIDEST_CELL = 64; // pixels
const SLOW = 5; // milliseconds for one decode, above which the square stays empty
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

/** The square; the other latents stay where the sliders are. */
export class Pad {
  #latents;
  #decode;
  #painter;
  #pad = document.getElementById("pad");
  #selects = ["pad-x", "pad-y"].map((id) => document.getElementById(id));

  constructor(latents, decode, painter, milliseconds) {
    [this.#latents, this.#decode, this.#painter] = [latents, decode, painter];
    if (latents.size < 2) {
      document.getElementById("pad-section").hidden = true;
      return;
    }
    this.#selects.forEach((select, i) => fillSelect(select, latents, latents.order[i]));
    const paint = milliseconds < SLOW ? latest(() => this.#paint(), REPAINT) : () => undefined;
    const follow = () => {
      this.#showMarker();
      paint();
    };
    this.#selects.forEach((select) => select.addEventListener("change", follow));
    latents.subscribe(follow);
    this.#pad.style.aspectRatio = Math.min(Math.max(painter.width / painter.height, 0.5), 2);
    this.#listen();
    follow();
  }

  get #axes() {
    return this.#selects.map(({ value }) => Number(value));
  }

  #listen() {
    this.#pad.addEventListener("pointerdown", (event) => {
      this.#pad.setPointerCapture(event.pointerId);
      this.#moveToPointer(event);
    });
    this.#pad.addEventListener("pointermove", (event) => {
      if (this.#pad.hasPointerCapture(event.pointerId)) {
        this.#moveToPointer(event);
      }
    });
    this.#pad.addEventListener("keydown", (event) => this.#moveByKey(event));
  }

  #moveToPointer(event) {
    const { left, top, width, height } = this.#pad.getBoundingClientRect();
    this.#moveTo([(event.clientX - left) / width, 1 - (event.clientY - top) / height]);
  }

  #moveByKey(event) {
    if (!(event.key in ARROWS)) {
      return;
    }
    event.preventDefault();
    const step = event.shiftKey ? 0.1 : 0.02;
    const direction = ARROWS[event.key];
    this.#moveTo(this.#axes.map((index, i) => this.#latents.fraction(index) + step * direction[i]), direction);
  }

  /** Moves to fractions of the two ranges, along the axes where `along` is not 0. */
  #moveTo(fractions, along = [1, 1]) {
    const moves = this.#axes.map((index, i) => [index, this.#latents.at(index, clamp(fractions[i]))]);
    this.#latents.move(moves.filter((_, i) => along[i] !== 0));
  }

  #showMarker() {
    const [across, up] = this.#axes;
    const { values, low, high } = this.#latents;
    const marker = document.getElementById("pad-marker");
    marker.style.left = `${100 * this.#latents.fraction(across)}%`;
    marker.style.bottom = `${100 * this.#latents.fraction(up)}%`;
    this.#pad.setAttribute("aria-label", `Latents z${across} across and z${up} up`);
    this.#pad.setAttribute("aria-valuemin", low[across]);
    this.#pad.setAttribute("aria-valuemax", high[across]);
    this.#pad.setAttribute("aria-valuenow", values[across]);
    const text = `z${across} ${values[across].toFixed(2)}, z${up} ${values[up].toFixed(2)}`;
    this.#pad.setAttribute("aria-valuetext", text);
  }

  async #paint() {
    const [across, up] = this.#axes;
    const { mean } = await this.#decode(this.#latents.grid(across, up, CELLS), CELLS * CELLS);
    const width = Math.min(this.#painter.width, WIDEST_CELL);
    const height = Math.round((width * this.#painter.height) / this.#painter.width);
    const map = document.getElementById("pad-map");
    [map.width, map.height] = [CELLS * width, CELLS * height];
    const size = mean.length / CELLS ** 2;
    for (let i = 0; i < CELLS ** 2; i += 1) {
      const image = this.#painter.toCanvas(mean.subarray(i * size, (i + 1) * size));
      map.getContext("2d").drawImage(image, (i % CELLS) * width, Math.floor(i / CELLS) * height, width, height);
    }
  }
}

function clamp(fraction) {
  return Math.min(Math.max(fraction, 0), 1);
}
