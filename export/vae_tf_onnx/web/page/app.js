/** The latent explorer: loads the facts and the graphs, checks them, and wires the controls. */

import { loadFacts } from "./assets.js";
import { Painter } from "./painter.js";
import { ImageView } from "./image.js";
import { Latents } from "./latents.js";
import { Model } from "./model.js";
import { Pad } from "./pad.js";
import { showAlert, showError } from "./schedule.js";
import { setUpInterpolation, setUpSamples, setUpTraversal } from "./sections.js";
import { Sliders } from "./sliders.js";

async function start() {
  const facts = await loadFacts();
  showFacts(facts);
  const model = await Model.load(facts);
  const result = await model.selfTest();
  showResult(result, facts);
  const latents = new Latents(facts.latents);
  const painter = new Painter(facts.event_shape, facts.display_range);
  document.body.dataset.kind = painter.isImage ? "image" : "plot";
  document.getElementById("main").hidden = false;
  const image = new ImageView(latents, model, painter, facts);
  const select = setUpTraversal(latents, model, painter);
  new Sliders(latents, facts.latents, select);
  new Pad(latents, (z, rows) => model.decode(z, rows), painter, result.milliseconds);
  setUpSamples(latents, model, painter, image, facts);
  setUpInterpolation(latents, model, painter, facts);
}

function showFacts({ title, summary, credits }) {
  document.title = title;
  document.getElementById("title").textContent = title;
  document.getElementById("credits").textContent = credits;
  for (const [term, text] of summary) {
    const [name, value] = [document.createElement("dt"), document.createElement("dd")];
    name.textContent = term;
    value.textContent = text;
    const fact = document.createElement("div");
    fact.append(name, value);
    document.getElementById("facts").append(fact);
  }
}

function showResult({ error, passed, milliseconds }, { tolerance }) {
  const measured = `largest relative error ${error.toExponential(1)}, allowed ${tolerance.toExponential(1)}`;
  setBadge(passed ? "passed" : "failed", `Self-test ${passed ? "passed" : "failed"}: ${measured}`);
  if (!passed) {
    showAlert(
      "The decoder on this page does not give what the trained model gave: " +
        `${measured}. Do not trust these images. Export the model and write the page again.`,
    );
  }
  document.getElementById("self-test").title = `${milliseconds.toFixed(2)} ms for one decode in this browser`;
}

function setBadge(state, text) {
  const badge = document.getElementById("self-test");
  badge.dataset.state = state;
  badge.textContent = text;
}

start().catch((error) => {
  setBadge("failed", "Self-test not run");
  showError(error);
});
