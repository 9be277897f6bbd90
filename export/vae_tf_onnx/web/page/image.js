/** The decoded image: the mean E[x|z], or a sample of x if the observation noise is on. */

import { download, summarise } from "./painter.js";
import { generator, sampleNoise } from "./random.js";
import { latest } from "./schedule.js";

const NOISE_STREAM = 0x5bd1e995; // noise of x comes from seed xor this, so that it is not the noise of z
const QUIET = 400; // milliseconds without a move before a screen reader is told

/** The large canvas, its switch for noise, and its download. */
export class ImageView {
  #latents;
  #model;
  #painter;
  #facts;
  #canvas = document.getElementById("image");
  #seed = document.getElementById("noise-seed");
  #switch = document.getElementById("noise");
  #telling;

  constructor(latents, model, painter, facts) {
    [this.#latents, this.#model, this.#painter, this.#facts] = [latents, model, painter, facts];
    this.repaint = latest(() => this.#paint());
    latents.subscribe(this.repaint);
    this.#setUpNoise();
    document.getElementById("reset").addEventListener("click", () => latents.moveTo(latents.start));
    document.getElementById("download").addEventListener("click", () => download(this.#canvas, "decoded.png"));
    this.repaint();
  }

  /** Whether observation noise is on. */
  get isNoisy() {
    return this.#switch.checked;
  }

  /** Calls `listener` when the noise is switched on or off. */
  onSwitch(listener) {
    this.#switch.addEventListener("change", listener);
  }

  /** Samples of x for `rows` rows of parameters of p(x|z), from the noise of a seed. */
  observe(parameters, rows, seed) {
    const { law, df } = this.#facts.observation;
    const width = this.#model.width("observation", "observation_noise");
    return this.#model.observe(parameters, sampleNoise(law, generator(seed ^ NOISE_STREAM), rows * width, df), rows);
  }

  #setUpNoise() {
    const isThere = this.#facts.observation !== null;
    const controls = [this.#switch, this.#seed, document.getElementById("new-noise")];
    controls.forEach((control) => (control.disabled = !isThere));
    document.getElementById("noise-note").textContent = this.#facts.observation_note;
    this.#switch.addEventListener("change", this.repaint);
    this.#seed.addEventListener("input", this.repaint);
    document.getElementById("new-noise").addEventListener("click", () => {
      this.#seed.value = seedOf(this.#seed) + 1;
      this.#switch.checked = true;
      this.#switch.dispatchEvent(new Event("change"));
    });
  }

  async #paint() {
    const parameters = await this.#model.decode(this.#latents.values.slice(), 1);
    const x = this.isNoisy ? await this.observe(parameters, 1, seedOf(this.#seed)) : parameters.mean;
    this.#painter.paint(this.#canvas, x);
    this.#showScale(parameters.scale);
    const { mean, low, high } = summarise(x);
    const kind = this.isNoisy ? "Sample of x" : "Mean of x";
    const text = `${kind}: ${low.toFixed(2)} to ${high.toFixed(2)}, average ${mean.toFixed(2)}.`;
    this.#canvas.setAttribute("aria-label", `${this.#painter.noun}. ${text}`);
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => (document.getElementById("summary").textContent = text), QUIET);
  }

  #showScale(scale) {
    const symbol = this.#facts.scale_symbol;
    const element = document.getElementById("sigma");
    element.hidden = !(symbol && scale);
    if (element.hidden) {
      return;
    }
    const { mean, low, high } = summarise(scale);
    const isOne = high - low <= 1e-5 * high;
    const factor = this.#facts.is_mse && isOne ? `, 1/(2σ²) = ${(1 / (2 * mean * mean)).toPrecision(3)}` : "";
    const value = isOne ? mean.toPrecision(3) : `${low.toPrecision(3)} to ${high.toPrecision(3)} over the dimensions`;
    element.textContent = `${symbol} = ${value}${factor}`;
  }
}

/** The seed in a field; 0 where it is empty or no number. */
export function seedOf(input) {
  return Math.min(Math.max(Math.trunc(input.valueAsNumber) || 0, 0), 2 ** 32 - 1);
}
