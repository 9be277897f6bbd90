/** The bundle's graphs, run in the browser. */

import { asset, loadRuntime } from "./assets.js";

const ROWS_PER_RUN = 16;

/** Decoder, prior and observation, each a session of onnxruntime-web. Arrays are rows of numbers, end to end. */
export class Model {
  #ort;
  #facts;
  #sessions = {};

  constructor(ort, facts) {
    this.#ort = ort;
    this.#facts = facts;
  }

  /** Loads the runtime and every graph that the facts name. */
  static async load(facts) {
    const ort = await loadRuntime().catch((error) => {
      throw new Error(`onnxruntime-web does not start in this browser: ${error.message}`);
    });
    const model = new Model(ort, facts);
    for (const graph of facts.graphs) {
      model.#sessions[graph] = await model.#open(graph);
    }
    return model;
  }

  async #open(graph) {
    const content = await asset(`${graph}.onnx`);
    try {
      return await this.#ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    } catch (error) {
      throw new Error(`onnxruntime-web cannot run the graph ${graph}: ${error.message}`);
    }
  }

  /** Whether the page has this graph. */
  holds(graph) {
    return graph in this.#sessions;
  }

  /** How many numbers a row of an input has. */
  width(graph, input) {
    return this.#shape(graph, input).reduce((product, size) => product * size, 1);
  }

  #shape(graph, input) {
    return this.#sessions[graph].inputMetadata.find(({ name }) => name === input).shape.slice(1);
  }

  /** Outputs of a graph by name for `rows` rows of inputs by name, in parts of the size that it takes. */
  async run(graph, inputs, rows) {
    const size = this.#facts.batch ?? ROWS_PER_RUN;
    const outputs = {};
    for (let start = 0; start < rows; start += size) {
      const part = await this.#runPart(graph, inputs, rows, start, size);
      for (const [name, values] of Object.entries(part)) {
        const width = values.length / (this.#facts.batch ?? Math.min(size, rows - start));
        outputs[name] ??= new Float32Array(rows * width);
        outputs[name].set(values.subarray(0, (rows - start) * width), start * width);
      }
    }
    return outputs;
  }

  async #runPart(graph, inputs, rows, start, size) {
    const session = this.#sessions[graph];
    const taken = Math.min(size, rows - start);
    const given = this.#facts.batch ?? taken;
    const feeds = {};
    for (const name of session.inputNames) {
      const width = this.width(graph, name);
      const data = new Float32Array(given * width);
      data.set(inputs[name].subarray(start * width, (start + taken) * width));
      feeds[name] = new this.#ort.Tensor("float32", data, [given, ...this.#shape(graph, name)]);
    }
    const results = await session.run(feeds);
    return Object.fromEntries(session.outputNames.map((name) => [name, results[name].data]));
  }

  /** Parameters of p(x|z), the mean among them, for `rows` rows of z. */
  decode(z, rows) {
    return this.run("decoder", { z }, rows);
  }

  /** x from the parameters of p(x|z) and noise. */
  async observe(parameters, noise, rows) {
    const { x } = await this.run("observation", { ...parameters, observation_noise: noise }, rows);
    return x;
  }

  /** z from noise of the prior; a standard normal prior's noise is z. */
  async fromPrior(noise, rows) {
    return this.holds("prior") ? (await this.run("prior", { noise }, rows)).z : noise;
  }

  /** Replays the golden set: the largest relative error, and the milliseconds that one decode takes. */
  async selfTest() {
    let error = 0;
    for (const { graph, inputs, output, expected } of this.#facts.golden) {
      const arrays = Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, array.values]));
      const received = (await this.run(graph, arrays, expected.rows))[output];
      error = Math.max(error, relativeError(received, expected.values));
    }
    const { values, rows } = this.#facts.golden[0].inputs.z;
    const start = performance.now();
    await this.decode(values, rows);
    return { error, passed: error <= this.#facts.tolerance, milliseconds: (performance.now() - start) / rows };
  }
}

/** The largest difference over the largest expected magnitude; infinite where a value is not finite. */
function relativeError(received, expected) {
  let difference = 0;
  let largest = Number.MIN_VALUE;
  for (let i = 0; i < expected.length; i += 1) {
    if (!Number.isFinite(received[i])) {
      return Infinity;
    }
    difference = Math.max(difference, Math.abs(received[i] - expected[i]));
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return difference / largest;
}
