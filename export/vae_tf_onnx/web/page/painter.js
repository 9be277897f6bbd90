/** Examples on canvases: images pixel by pixel, everything else as a line. */

const PLOT = { width: 240, height: 160, margin: 8, paper: "#ffffff", grid: "#c9ced8", line: "#3457d5" };

/**
 * Paints examples of one shape, `[H, W]` or `[H, W, C]` with C = 1 or 3 as images unless they are one pixel high or
 * wide; `range` is black to white.
 */
export class Painter {
  constructor(shape, range) {
    const [height, width, channels = 1] = shape;
    [this.low, this.high] = range;
    const isPlane = shape.length === 2 || (shape.length === 3 && (channels === 1 || channels === 3));
    this.isImage = isPlane && height > 1 && width > 1;
    this.channels = channels;
    this.width = this.isImage ? width : PLOT.width;
    this.height = this.isImage ? height : PLOT.height;
    this.size = shape.reduce((product, size) => product * size, 1);
  }

  /** The words by which a screen reader calls it. */
  get noun() {
    return this.isImage ? `Image of ${this.height} by ${this.width} pixels` : `Plot of ${this.size} values`;
  }

  /** Paints an example on a whole canvas, which takes its size. */
  paint(canvas, values) {
    canvas.width = this.width;
    canvas.height = this.height;
    canvas.getContext("2d").drawImage(this.toCanvas(values), 0, 0);
  }

  /** A new canvas with the example. */
  toCanvas(values) {
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height;
    const context = canvas.getContext("2d");
    if (this.isImage) {
      context.putImageData(this.#toPixels(values), 0, 0);
    } else {
      this.#plot(context, values);
    }
    return canvas;
  }

  #toPixels(values) {
    const pixels = new ImageData(this.width, this.height);
    for (let i = 0; i < this.width * this.height; i += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const value = values[i * this.channels + (this.channels === 3 ? channel : 0)];
        pixels.data[4 * i + channel] = Math.round(255 * this.#fraction(value)); // clamped by the array
      }
      pixels.data[4 * i + 3] = 255;
    }
    return pixels;
  }

  #fraction(value) {
    return (value - this.low) / (this.high - this.low);
  }

  #plot(context, values) {
    const { width, height, margin } = PLOT;
    context.fillStyle = PLOT.paper;
    context.fillRect(0, 0, width, height);
    const across = (i) => margin + ((width - 2 * margin) * i) / Math.max(values.length - 1, 1);
    const up = (fraction) => height - margin - (height - 2 * margin) * fraction;
    context.strokeStyle = PLOT.grid;
    for (const fraction of [0, 0.5, 1]) {
      context.strokeRect(margin, up(fraction), width - 2 * margin, 0);
    }
    context.strokeStyle = PLOT.line;
    context.lineWidth = 3;
    context.beginPath();
    values.forEach((value, i) => context.lineTo(across(i), up(Math.min(Math.max(this.#fraction(value), 0), 1))));
    context.stroke();
  }
}

/** Mean, smallest and largest of the values. */
export function summarise(values) {
  let [total, low, high] = [0, Infinity, -Infinity];
  for (const value of values) {
    total += value;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { mean: total / values.length, low, high };
}

/** Offers the canvas as a PNG file. */
export function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }, "image/png");
}
