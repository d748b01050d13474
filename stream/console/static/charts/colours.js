/** Colours of severities: one ramp for dark and one for light, each of even steps of lightness. */
import { isDark } from "../theme.js";

/** Severity below which a row is drawn as usual, and from which the ramp is at its end. */
export const FIRST = 1;
export const LAST = 8;
/** Cells of the API in one unit of severity; cell of no row, and of a key that still learns. */
export const SCALE = 20;
export const NO_ROW = 255;
export const LEARNING = 254;

/** @type {Record<string, [number, number, number][]>} */
const RAMPS = {
  dark: [[28, 31, 38], [62, 38, 66], [121, 40, 78], [186, 56, 62], [232, 104, 48], [250, 168, 66], [255, 233, 150]],
  light: [[238, 239, 242], [253, 226, 186], [253, 187, 120], [245, 134, 74], [219, 79, 51], [164, 33, 48], [92, 8, 40]],
};
const EMPTY = { dark: [17, 18, 22], light: [252, 252, 253] };
const UNRATED = { dark: [38, 52, 64], light: [214, 226, 236] };

/**
 * Return the colour of a severity.
 *
 * @param {number} severity The severity.
 * @returns {[number, number, number]} Red, green and blue, 0 to 255.
 */
export function ramp(severity) {
  const stops = RAMPS[isDark() ? "dark" : "light"];
  const place = Math.max(0, Math.min(1, (severity - FIRST) / (LAST - FIRST))) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  const mix = place - low;
  const [a, b] = [stops[low], stops[low + 1]];
  return [a[0] + mix * (b[0] - a[0]), a[1] + mix * (b[1] - a[1]), a[2] + mix * (b[2] - a[2])];
}

/**
 * Return the pixel of each cell value, as ImageData has them in a word.
 *
 * @returns {Uint32Array} 256 pixels.
 */
export function palette() {
  const bytes = new Uint8ClampedArray(1024).fill(255);
  const look = isDark() ? "dark" : "light";
  for (let cell = 0; cell < LEARNING; cell += 1) bytes.set(ramp(cell / SCALE), 4 * cell);
  bytes.set(UNRATED[look], 4 * LEARNING);
  bytes.set(EMPTY[look], 4 * NO_ROW);
  return new Uint32Array(bytes.buffer);
}

/**
 * Fill a canvas with the colour of a severity.
 *
 * @param {HTMLCanvasElement} canvas The canvas.
 * @param {number | null} severity The severity; null: the key still learns.
 */
export function drawSwatch(canvas, severity) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixel = severity === null ? UNRATED[isDark() ? "dark" : "light"] : ramp(severity);
  context.fillStyle = `rgb(${pixel.map(Math.round).join(" ")})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
}
