/** Numbers in the words of an operator. */

/** Factor between two paces from which one is another. */
const OTHER_PACE = 2;

/** Words for a row on which its key may not fire yet. */
export const LEARNS = "still learning";

/**
 * Return a number as short text: four digits, groups of three, no exponent for usual sizes.
 *
 * @param {number | null | undefined} value The number.
 */
export function numberText(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return value.toExponential(2);
  if (size >= 1e4) return Math.round(value).toLocaleString("en-GB");
  return String(Number(value.toPrecision(4)));
}

/** @param {number} count A count. */
export function countText(count) {
  return Math.round(count).toLocaleString("en-GB");
}

/**
 * Return the word for a count: `1 key`, `2 keys`.
 *
 * @param {number} count The count.
 * @param {string} word The word for one.
 */
export function plural(count, word) {
  return `${countText(count)} ${word}${count === 1 ? "" : "s"}`;
}

/**
 * Say how rare a row of some severity is: `once in 3 hours`, or `1 row in 1,000`.
 *
 * @param {number | null} severity Severity, the negative decimal logarithm of a probability.
 * @param {number | null} [cadence] Seconds between two rows of a key, where they are known.
 */
export function rarity(severity, cadence = null) {
  if (severity === null || severity === undefined) return "not scored";
  if (severity < 0.3) return "usual";
  const rows = 10 ** severity;
  if (cadence === null || !(cadence > 0)) return `1 row in ${roundText(rows)}`;
  return `once in ${spanWords(rows * cadence)}`;
}

/**
 * Return the name of a span in words, with two digits at most.
 *
 * @param {number} seconds Length of the span.
 */
export function spanWords(seconds) {
  /** @type {[number, string][]} */
  const units = [
    [1, "second"],
    [60, "minute"],
    [3600, "hour"],
    [86400, "day"],
    [365 * 86400, "year"],
  ];
  let [size, name] = units[0];
  for (const unit of units) if (seconds >= 0.95 * unit[0]) [size, name] = unit;
  const exact = seconds / size;
  const count = exact < 10 ? Math.max(1, Math.round(exact)) : Number(exact.toPrecision(exact < 100 ? 2 : 1));
  if (count > 1e4 && name === "year") return "more than 10,000 years";
  return count === 1 ? `${name === "hour" ? "an" : "a"} ${name}` : `${countText(count)} ${name}s`;
}

/**
 * Say that rows come at another pace than the model has learned; empty where they do not.
 *
 * @param {number | null} seconds Seconds between two rows of a key now; null: not known.
 * @param {number | null} historySeconds The same in the model's history.
 */
export function paceNote(seconds, historySeconds) {
  if (!seconds || !historySeconds) return "";
  if (Math.max(seconds / historySeconds, historySeconds / seconds) < OTHER_PACE) return "";
  return `A row of a key comes every ${spanWords(seconds)}; in the history of the model one came every ${spanWords(historySeconds)}. The budget of pages is kept at that pace: train again on rows as they come now.`;
}

/** @param {number} rows A count of rows. */
function roundText(rows) {
  const count = Number(rows.toPrecision(rows < 100 ? 2 : 1));
  for (const [size, name] of /** @type {[number, string][]} */ ([[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]])) {
    if (count >= size) return `${countText(count / size)} ${name}`;
  }
  return countText(count);
}

/**
 * Return a pattern that matches a key alone.
 *
 * @param {string} key Text of the key.
 */
export function patternOf(key) {
  return key.replace(/[*?[]/g, "[$&]");
}
