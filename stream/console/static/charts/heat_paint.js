/** Parts of the heat map's picture: cells, marks of keys that fire, and the axis of time. */
import { colour, isDark } from "../theme.js";
import { tickText } from "../times.js";

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

/** Height of the axis in pixels. */
export const AXIS = 22;
const STEPS = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
const FLAT = 8;

/**
 * Draw cells: a pixel each, scaled up to a box.
 *
 * @param {CanvasRenderingContext2D} context Context of the canvas.
 * @param {Box & {cells: Uint8Array, columns: number, lines: number, palette: Uint32Array}} look
 *   Cells line by line, and the pixel of each value.
 */
export function paintCells(context, { cells, columns, lines, palette, left, top, width, height }) {
  const small = new OffscreenCanvas(columns, lines);
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext("2d"));
  const image = pen.createImageData(columns, lines);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = palette[cells[i]];
  pen.putImageData(image, 0, 0);
  context.drawImage(small, 0, 0, columns, lines, left, top, width, height);
}

/**
 * Mark the lines that fire.
 *
 * @param {CanvasRenderingContext2D} context Context of the canvas.
 * @param {ArrayLike<number>} firing Which lines fire.
 * @param {number} lines How many there are.
 * @param {number} left Place of the marks.
 * @param {number} top Place of the first.
 * @param {number} height Height of one.
 */
export function paintMarks(context, firing, lines, left, top, height) {
  const gap = height > FLAT ? 3 : 0;
  context.fillStyle = colour("firing");
  for (let line = 0; line < lines; line += 1) {
    if (firing[line]) context.fillRect(left, top + line * height + gap, 4, Math.max(1, height - 2 * gap));
  }
}

/**
 * Draw the axis of time, and a line below it at the column under the pointer.
 *
 * @param {CanvasRenderingContext2D} context Context of the canvas.
 * @param {import("./heat_rows.js").HeatRows} rows The rows.
 * @param {Box} box Place of the cells; the axis is over it, and over the names beside it.
 * @param {number} column Column under the pointer; -1: none.
 */
export function paintAxis(context, rows, { left, top, width, height }, column) {
  const [begin, end] = [rows.beginUs / 1e6, rows.endUs / 1e6];
  context.fillStyle = colour("panel");
  context.fillRect(0, top, left + width, AXIS);
  context.fillStyle = colour("muted");
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const step = STEPS.find((seconds) => (end - begin) / seconds <= width / 90) ?? 86400;
  // Ticks stand at full hours of the viewer's zone.
  const shift = new Date(begin * 1e3).getTimezoneOffset() * 60;
  for (let at = Math.ceil((begin - shift) / step) * step + shift; at < end; at += step) {
    const x = left + ((at - begin) / (end - begin)) * width;
    const text = tickText(at, step);
    if (x + context.measureText(text).width + 8 > left + width) break;
    context.fillRect(x, top + AXIS - 5, 1, 5);
    context.fillText(text, x + 4, top + AXIS / 2);
  }
  if (column < 0) return;
  context.globalAlpha = isDark() ? 0.35 : 0.25;
  context.fillStyle = colour("text");
  context.fillRect(left + ((column + 0.5) / rows.columns) * width, top + AXIS, 1, height);
  context.globalAlpha = 1;
}
