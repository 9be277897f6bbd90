/** The page's own files: beside it, or inside it where it was written as a single file. */

/** Bytes of a file, by its name. */
export async function asset(name) {
  const inside = document.getElementById(`asset:${name}`);
  if (inside) {
    return inflate(fromBase64(inside.textContent));
  }
  const response = await fetch(name);
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status}. Serve the whole folder of the page.`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** onnxruntime-web, set up for one thread on the CPU. */
export async function loadRuntime() {
  const name = "ort/ort.wasm.bundle.min.mjs";
  const inside = document.getElementById(`asset:${name}`) !== null;
  const url = inside ? URL.createObjectURL(new Blob([await asset(name)], { type: "text/javascript" })) : `./${name}`;
  const ort = await import(url);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = (await asset("ort/ort-wasm-simd-threaded.wasm")).buffer;
  return ort;
}

/** What bundle.json says, its arrays as Float32Array. */
export async function loadFacts() {
  const text = new TextDecoder().decode(await asset("bundle.json"));
  return JSON.parse(text, (_, value) => (typeof value?.float32 === "string" ? toArray(value) : value));
}

function toArray({ float32, shape }) {
  const values = new Float32Array(fromBase64(float32).buffer);
  return { values, shape, rows: shape[0], width: values.length / shape[0] };
}

function fromBase64(text) {
  const binary = atob(text);
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
