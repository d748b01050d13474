/**
 * Times and spans as text. A time of the API is a count of microseconds since the epoch, UTC; the
 * page shows the viewer's zone, and UTC in the title.
 */
import { h } from "./dom.js";

/** Name of the viewer's time zone. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export const SECOND = 1e6;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const SHORT_CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const LONG_DATE = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
});

/** @param {number} us Time in microseconds. */
function dateOf(us) {
  return new Date(us / 1e3);
}

/**
 * Return a time as text: the clock, and the day where it is not today.
 *
 * @param {number | null} us Time in microseconds.
 */
export function timeText(us) {
  if (us === null || us === undefined) return "–";
  const date = dateOf(us);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? CLOCK.format(date) : `${DATE.format(date)}, ${CLOCK.format(date)}`;
}

/** @param {number} us Time in microseconds. */
export function utcText(us) {
  return `${dateOf(us).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** @param {number} us Time in microseconds. */
export function isoText(us) {
  return dateOf(us).toISOString().replace(".000Z", "Z");
}

/**
 * Return the text of a span with its day and zone, for titles of pictures.
 *
 * @param {number} beginUs Begin in microseconds.
 * @param {number} endUs End in microseconds.
 */
export function spanText(beginUs, endUs) {
  const [begin, end] = [dateOf(beginUs), dateOf(endUs)];
  const isOneDay = begin.toDateString() === end.toDateString();
  const last = isOneDay ? CLOCK.format(end) : `${LONG_DATE.format(end)}, ${CLOCK.format(end)}`;
  return `${LONG_DATE.format(begin)}, ${CLOCK.format(begin)} to ${last} (${ZONE})`;
}

/**
 * Create the element of a time: local text, UTC in its title.
 *
 * @param {number | null} us Time in microseconds.
 */
export function timeElement(us) {
  if (us === null || us === undefined) return h("span", {}, "–");
  return h("time", { datetime: isoText(us), title: utcText(us) }, timeText(us));
}

/**
 * Return a span as short text, such as `3 min` or `2.5 h`.
 *
 * @param {number} us Microseconds.
 */
export function durationText(us) {
  const seconds = Math.max(0, us) / SECOND;
  if (seconds < 1) return "under 1 s";
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 100) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  if (hours < 10) return `${hours.toFixed(1).replace(".0", "")} h`;
  if (hours < 48) return `${Math.round(hours)} h`;
  return `${Math.round(hours / 24)} d`;
}

/**
 * Return the text of a tick on a time axis.
 *
 * @param {number} seconds Time in seconds since the epoch.
 * @param {number} step Seconds between two ticks.
 */
export function tickText(seconds, step) {
  const date = new Date(seconds * 1e3);
  if (step >= 86400) return DATE.format(date);
  if (step < 60) return CLOCK.format(date);
  const text = SHORT_CLOCK.format(date);
  return text === "00:00" ? DATE.format(date) : text;
}

/**
 * Return the microseconds of a span such as `90s`, `15m`, `6h`, `7d` or `2w`; null where it is none.
 *
 * @param {string | null} text Text of the span.
 */
export function spanOf(text) {
  const match = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text ?? "");
  if (!match) return null;
  const unit = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY }[match[2]] ?? 0;
  return Number(match[1]) * unit || null;
}

/**
 * Return the time of a link: RFC 3339, or a count of seconds, milliseconds or microseconds, whose
 * size says which; null where it is none.
 *
 * @param {string | null} text Text of the time.
 */
export function timeOf(text) {
  if (!text) return null;
  if (/^\d+(\.\d+)?$/.test(text)) {
    const count = Number(text);
    if (count < 1e11) return Math.round(count * 1e6);
    return Math.round(count < 1e14 ? count * 1e3 : count);
  }
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? null : milliseconds * 1e3;
}

/**
 * Return the value of a `datetime-local` field.
 *
 * @param {number} us Time in microseconds.
 */
export function fieldTime(us) {
  const date = dateOf(us);
  return new Date(date.getTime() - date.getTimezoneOffset() * 6e4).toISOString().slice(0, 16);
}
