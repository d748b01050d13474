/** Picture of a key to hand round: its charts on one canvas, with key, times and meaning. */
import { colour } from "../theme.js";

const MARGIN = 16;
const TITLE = 62;
const CAPTION = 22;

/**
 * Draw the charts of a key below each other.
 *
 * @param {{title: string, subtitle: string, foot: string, charts: {title: string,
 *   canvas: HTMLCanvasElement}[]}} content Texts, and charts from top to bottom.
 * @returns {Promise<Blob>} The picture as PNG.
 */
export async function pictureOf({ title, subtitle, foot, charts }) {
  const ratio = devicePixelRatio;
  const width = Math.max(480, ...charts.map(({ canvas }) => canvas.width / ratio)) + 2 * MARGIN;
  const heights = charts.map(({ canvas }) => canvas.height / ratio + CAPTION);
  const height = TITLE + heights.reduce((sum, one) => sum + one, 0) + CAPTION + MARGIN;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(ratio, ratio);
  pen.fillStyle = colour("panel");
  pen.fillRect(0, 0, width, height);
  pen.textBaseline = "top";
  write(title, "600 17px system-ui, sans-serif", "text", MARGIN, MARGIN);
  write(subtitle, "12px system-ui, sans-serif", "muted", MARGIN, MARGIN + 24);
  let y = TITLE;
  charts.forEach((chart, place) => {
    write(chart.title, "600 12px system-ui, sans-serif", "text", MARGIN, y + 4);
    pen.drawImage(chart.canvas, MARGIN, y + CAPTION, chart.canvas.width / ratio, chart.canvas.height / ratio);
    y += heights[place];
  });
  write(foot, "11px system-ui, sans-serif", "muted", MARGIN, y + 6);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser could not write the picture."))), "image/png");
  });

  /**
   * @param {string} text Text to write.
   * @param {string} font Its font.
   * @param {string} ink Name of its colour.
   * @param {number} x Its left end.
   * @param {number} top Its upper end.
   */
  function write(text, font, ink, x, top) {
    pen.font = font;
    pen.fillStyle = colour(ink);
    pen.fillText(text, x, top, width - 2 * MARGIN);
  }
}

/**
 * Let the browser save a file.
 *
 * @param {Blob} blob Its content.
 * @param {string} name Its name.
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
}
