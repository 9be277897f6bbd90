/** The strips below the image: traversal, samples, interpolation. */

import { seedOf } from "./image.js";
import { generator, priorNoise } from "./random.js";
import { latest, REPAINT } from "./schedule.js";
import { fillSelect } from "./sliders.js";
import { row, Strip } from "./strip.js";

const DECODES = 9;
const STOPS = 11; // images from one end to the other, both included
const MOST_THUMBNAILS = 16;

/** Decodes over the range of one latent. Returns a function that chooses the latent. */
export function setUpTraversal(latents, model, painter) {
  const select = document.getElementById("traversal-latent");
  fillSelect(select, latents, latents.order[0]);
  let points = null;
  const pick = (i) => latents.move([[Number(select.value), row(points, i, DECODES)[Number(select.value)]]]);
  const strip = new Strip("traversal", DECODES, painter, pick);
  const repaint = latest(async () => {
    const index = Number(select.value);
    points = latents.line(index, DECODES);
    const { mean } = await model.decode(points, DECODES);
    const captions = Array.from({ length: DECODES }, (_, i) => row(points, i, DECODES)[index].toFixed(2));
    strip.show(mean, captions, captions.map((caption) => `z${index} = ${caption}`));
  }, REPAINT);
  select.addEventListener("change", repaint);
  latents.subscribe(repaint);
  repaint();
  return (index) => {
    select.value = index;
    repaint();
  };
}

/** Seeded samples of z from the prior, decoded, with observation noise if it is on. */
export function setUpSamples(latents, model, painter, image, facts) {
  const note = document.getElementById("samples-note");
  const seed = document.getElementById("sample-seed");
  const button = document.getElementById("new-samples");
  note.textContent = facts.prior_note;
  if (facts.prior_noise === null) {
    seed.disabled = button.disabled = true;
    return;
  }
  let points = null;
  const strip = new Strip("samples", DECODES, painter, (i) => latents.moveTo(row(points, i, DECODES)));
  const width = model.holds("prior") ? model.width("prior", "noise") : latents.size;
  const repaint = latest(async () => {
    const noise = priorNoise(facts.prior_noise, generator(seedOf(seed)), DECODES, width);
    points = await model.fromPrior(noise, DECODES);
    const parameters = await model.decode(points, DECODES);
    const x = image.isNoisy ? await image.observe(parameters, DECODES, seedOf(seed)) : parameters.mean;
    const captions = Array.from({ length: DECODES }, (_, i) => String(i + 1));
    strip.show(x, captions, captions.map((caption) => `Sample ${caption} of seed ${seedOf(seed)}`));
  });
  seed.addEventListener("input", repaint);
  image.onSwitch(repaint);
  button.addEventListener("click", () => {
    seed.value = seedOf(seed) + 1;
    repaint();
  });
  repaint();
}

/** Points on the line between the posterior means of two test images. */
export function setUpInterpolation(latents, model, painter, facts) {
  const section = document.getElementById("interpolation-section");
  section.hidden = facts.examples === null || facts.examples.z.rows < 2;
  if (section.hidden) {
    return;
  }
  const { z } = facts.examples;
  const slider = document.getElementById("position");
  const chosen = { from: 0, to: 1 };
  const at = (position) => {
    const [start, end] = [chosen.from, chosen.to].map((i) => row(z.values, i, z.rows));
    return start.map((value, i) => (1 - position) * value + position * end[i]);
  };
  const move = () => {
    const text = slider.valueAsNumber.toFixed(2);
    document.getElementById("position-value").textContent = text;
    latents.moveTo(at(slider.valueAsNumber));
  };
  const strip = new Strip("interpolation", STOPS, painter, (i) => {
    slider.value = i / (STOPS - 1);
    move();
  });
  const repaint = latest(async () => {
    const points = new Float32Array(STOPS * latents.size);
    const positions = Array.from({ length: STOPS }, (_, i) => i / (STOPS - 1));
    positions.forEach((position, i) => points.set(at(position), i * latents.size));
    const { mean } = await model.decode(points, STOPS);
    const captions = positions.map((position) => position.toFixed(1));
    strip.show(mean, captions, captions.map((caption) => `Position ${caption}`));
  });
  for (const end of ["from", "to"]) {
    showThumbnails(end, facts, painter, chosen[end], (i) => {
      chosen[end] = i;
      move();
      repaint();
    });
  }
  slider.addEventListener("input", move);
  move();
  document.getElementById("interpolation-heading").textContent = `Between two ${facts.examples_name}s`;
  repaint();
}

function showThumbnails(end, { examples: { x }, examples_name: name }, painter, chosen, onChoose) {
  for (let i = 0; i < Math.min(x.rows, MOST_THUMBNAILS); i += 1) {
    const thumbnail = document.getElementById("thumbnail").content.firstElementChild.cloneNode(true);
    const [input, canvas] = thumbnail.children;
    [input.name, input.value, input.checked] = [end, i, i === chosen];
    input.setAttribute("aria-label", `${end === "from" ? "From" : "To"} ${name} ${i + 1}`);
    input.addEventListener("change", () => onChoose(i));
    painter.paint(canvas, row(x.values, i, x.rows));
    document.getElementById(end).append(thumbnail);
  }
}
