/** Work that follows the controls: what fails is told on the page, and `aria-busy` says when it is done. */

/** Milliseconds between two paintings of the canvases that follow the sliders beside the image. */
export const REPAINT = 120;

let pending = 0;

/**
 * A function that asks for `task`. While it runs or waits, further requests become one: only the latest state
 * counts. `delay` is the pause before each run, in milliseconds; without one it waits for the next frame.
 */
export function latest(task, delay = 0) {
  let wanted = false;
  let running = false;
  return async () => {
    wanted = true;
    if (running) {
      return;
    }
    running = true;
    setBusy(1);
    while (wanted) {
      await pause(delay);
      wanted = false;
      await task().catch(showError);
    }
    running = false;
    setBusy(-1);
  };
}

/** Tells an error in words, at the top of the page. */
export function showError(error) {
  showAlert(`Something failed: ${error.message} Reload the page; if that does not help, write it again.`);
}

/** Shows a warning at the top of the page. */
export function showAlert(text) {
  const alert = document.getElementById("alert");
  alert.textContent = text;
  alert.hidden = false;
}

function setBusy(change) {
  pending += change;
  document.getElementById("main").setAttribute("aria-busy", String(pending > 0));
}

function pause(delay) {
  return new Promise((resolve) => (delay ? setTimeout(resolve, delay) : requestAnimationFrame(resolve)));
}
