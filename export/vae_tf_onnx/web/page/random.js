/**
 * Seeded noise. The generator is mulberry32, normal numbers are Box and Muller's: the same seed gives the same
 * image in every browser, and other numbers than numpy's generator does in Python.
 */

/** A function that gives the next 32-bit whole number of mulberry32. */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Uniform on [0, 1), in steps of 2^-24, so that float32 holds it. */
function uniform(next) {
  return (next() >>> 8) / 2 ** 24;
}

/** Standard normal. */
function normal(next) {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(next)));
  return radius * Math.cos(2 * Math.PI * uniform(next));
}

/** Laplace with scale 1: the difference of two exponential numbers. */
function laplace(next) {
  return Math.log(1 - uniform(next)) - Math.log(1 - uniform(next));
}

/** Student's t with `df` degrees of freedom, by the polar method (Bailey 1994). */
function studentT(next, df) {
  for (;;) {
    const u = 2 * uniform(next) - 1;
    const v = 2 * uniform(next) - 1;
    const w = u * u + v * v;
    if (w > 0 && w <= 1) {
      return u * Math.sqrt((df * Math.expm1((-2 / df) * Math.log(w))) / w);
    }
  }
}

const LAWS = { uniform, normal, laplace, student_t: studentT };

/** `count` numbers of a law: "uniform", "normal", "laplace", or "student_t" with `df`. */
export function sampleNoise(law, next, count, df) {
  return Float32Array.from({ length: count }, () => LAWS[law](next, df));
}

/**
 * Noise of the prior for `rows` samples of `width` numbers: normal, or for "mixture" one uniform number, which picks
 * the component, before the normal ones of each row.
 */
export function priorNoise(law, next, rows, width) {
  const noise = new Float32Array(rows * width);
  for (let row = 0; row < rows; row += 1) {
    const head = law === "mixture" ? sampleNoise("uniform", next, 1) : [];
    noise.set(head, row * width);
    noise.set(sampleNoise("normal", next, width - head.length), row * width + head.length);
  }
  return noise;
}
