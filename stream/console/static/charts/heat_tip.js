/** Words beside the pointer: key, time and how rare it is. */
import { h, show } from "../dom.js";
import { timeText, utcText } from "../times.js";
import { LEARNS, rarity } from "../words.js";

const WIDEST = 260;

/**
 * Show the words of a cell beside it.
 *
 * @param {HTMLElement} tip Element of the words.
 * @param {import("./heat_rows.js").HeatRows} rows The rows.
 * @param {{row: number, column: number, x: number, y: number}} place Cell, and the pointer's place.
 * @param {number | null} cadence Seconds between two rows of a key.
 * @param {number} width Width of the heat map.
 */
export function showTip(tip, rows, { row, column, x, y }, cadence, width) {
  const atUs = rows.beginUs + column * rows.stepUs;
  show(
    tip,
    h("strong", {}, rows.keys[row]),
    h("span", { title: utcText(atUs) }, timeText(atUs)),
    h("span", {}, rows.learns(row, column) ? LEARNS : rarity(rows.severity(row, column), cadence)),
    rows.firing[row] ? h("span", { class: "firing-word" }, "fires now") : null,
  );
  const isLeft = x > width - WIDEST;
  tip.style.transform = `translate(${x + (isLeft ? -12 : 14)}px, ${y + 14}px)${isLeft ? " translateX(-100%)" : ""}`;
  tip.hidden = false;
}
