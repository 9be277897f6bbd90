/** The point z that the page shows. */

/** D latents with their ranges; whoever subscribes hears of every move. */
export class Latents {
  #listeners = [];

  constructor({ mean, low, high, order, kl }) {
    this.start = Float32Array.from(mean);
    this.values = this.start.slice();
    this.low = low;
    this.high = high;
    this.order = order;
    this.kl = kl;
  }

  get size() {
    return this.values.length;
  }

  /** The value at a fraction, 0 to 1, of a latent's range. */
  at(index, fraction) {
    return this.low[index] + (this.high[index] - this.low[index]) * fraction;
  }

  /** Where a latent is in its range, 0 to 1. */
  fraction(index) {
    const fraction = (this.values[index] - this.low[index]) / (this.high[index] - this.low[index]);
    return Math.min(Math.max(fraction, 0), 1);
  }

  /** Calls `listener` after every move. */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /** Moves some latents: their indices and new values. */
  move(changes) {
    for (const [index, value] of changes) {
      this.values[index] = value;
    }
    this.#listeners.forEach((listener) => listener());
  }

  /** Moves all latents. */
  moveTo(values) {
    this.move(Array.from(values).entries());
  }

  /** `count` points with latent `index` spread over its range and the others as they are, end to end. */
  line(index, count) {
    return this.#points(count, (point, i) => {
      point[index] = this.at(index, i / (count - 1));
    });
  }

  /** `count` x `count` points over the ranges of two latents, the top row with the largest of the second. */
  grid(across, up, count) {
    return this.#points(count * count, (point, i) => {
      point[across] = this.at(across, ((i % count) + 0.5) / count);
      point[up] = this.at(up, 1 - (Math.floor(i / count) + 0.5) / count);
    });
  }

  #points(count, change) {
    const points = new Float32Array(count * this.size);
    for (let i = 0; i < count; i += 1) {
      const point = points.subarray(i * this.size, (i + 1) * this.size);
      point.set(this.values);
      change(point, i);
    }
    return points;
  }
}
