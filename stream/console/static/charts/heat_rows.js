/** Severities of many keys by time, as `/api/fleet` gives them. */
import { LEARNING, NO_ROW, SCALE } from "./colours.js";

/** Table of cells: a row for each key, a column for each span of time. */
export class HeatRows {
  /** @param {any} answer Answer of `/api/fleet`. */
  constructor(answer) {
    /** @type {string[]} */
    this.keys = answer.keys;
    /** @type {number[]} */
    this.firing = answer.firing;
    /** @type {number} */
    this.columns = answer.columns;
    /** @type {number} */
    this.total = answer.total;
    /** @type {number} */
    this.beginUs = answer.begin_us;
    /** @type {number} */
    this.stepUs = answer.step_us;
    this.cells = bytesOf(answer.cells);
  }

  get length() {
    return this.keys.length;
  }

  get endUs() {
    return this.beginUs + this.columns * this.stepUs;
  }

  /**
   * Return the severity of a cell; null where the key has no row, or may not fire yet.
   *
   * @param {number} row Number of the key.
   * @param {number} column Number of the column.
   */
  severity(row, column) {
    const cell = this.cells[row * this.columns + column];
    return cell === undefined || cell >= LEARNING ? null : cell / SCALE;
  }

  /**
   * Return whether the key may not fire yet at a cell.
   *
   * @param {number} row Number of the key.
   * @param {number} column Number of the column.
   */
  learns(row, column) {
    return this.cells[row * this.columns + column] === LEARNING;
  }

  /**
   * Return the largest cells of groups of rows, for a picture with fewer lines than keys.
   *
   * @param {number} lines Lines of the picture, at most as many as there are keys.
   * @returns {{cells: Uint8Array, firing: Uint8Array}} Cells of `lines` rows, and which fire.
   */
  shrunk(lines) {
    const cells = new Uint8Array(lines * this.columns).fill(NO_ROW);
    const firing = new Uint8Array(lines);
    for (let row = 0; row < this.length; row += 1) {
      const line = Math.floor((row * lines) / this.length);
      if (this.firing[row]) firing[line] = 1;
      const [from, to] = [row * this.columns, line * this.columns];
      for (let column = 0; column < this.columns; column += 1) {
        const [cell, most] = [this.cells[from + column], cells[to + column]];
        if (most >= LEARNING ? cell < most : cell < LEARNING && cell > most) cells[to + column] = cell;
      }
    }
    return { cells, firing };
  }

  /**
   * Return the key that a line of a shrunk picture shows at a column: the most severe one.
   *
   * @param {number} line Number of the line.
   * @param {number} lines Lines of the picture.
   * @param {number} column Number of the column.
   */
  worst(line, lines, column) {
    const first = Math.ceil((line * this.length) / lines);
    const end = Math.min(this.length, Math.ceil(((line + 1) * this.length) / lines));
    let [best, most] = [first, -1];
    for (let row = first; row < end; row += 1) {
      const severity = this.severity(row, column) ?? -1;
      if (severity > most) [best, most] = [row, severity];
    }
    return best;
  }
}

/**
 * @param {string} text Bytes in base 64.
 * @returns {Uint8Array}
 */
function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
