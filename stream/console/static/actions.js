/** What an operator can do about an episode: one click, a word of who did it, and an undo. */
import { send } from "./api.js";
import { h } from "./dom.js";
import { ask } from "./forms.js";
import { fault, notify } from "./notices.js";
import { button } from "./parts.js";
import { state } from "./state.js";
import { HOUR, MINUTE, fieldTime, timeText } from "./times.js";
import { patternOf } from "./words.js";

const VERDICTS = /** @type {const} */ ([
  ["false-alarm", "False alarm", "The key is less easily paged for this again"],
  ["real", "Real", "It was worth the page"],
  ["normal-now", "Normal now", "The key learns its present values as its usual ones"],
]);

/**
 * Create the buttons of an episode.
 *
 * @param {any} episode The episode.
 * @param {() => void} changed Function that is called after a change and after its undo.
 */
export function actionsOf(episode, changed) {
  const why = state.locked;
  const guard = { disabled: Boolean(why), title: why || null };
  const given = episode.feedback?.body?.verdict ?? episode.feedback?.verdict;
  return h(
    "div",
    { class: "actions", role: "group", "aria-label": "Actions" },
    VERDICTS.map(([verdict, label, meaning]) =>
      button(label, () => judge(verdict, label), {
        class: "button small",
        ...guard,
        title: why || meaning,
        "aria-pressed": String(given === verdict),
      }),
    ),
    button("Acknowledge", acknowledge, { class: "button small", ...guard, title: why || "You work on it: the alert is not repeated", "aria-pressed": String(Boolean(episode.acknowledged)) }),
    button("Silence", silence, { class: "button small", ...guard, "aria-pressed": String(Boolean(episode.silenced)) }),
    button("Planned work", calendar, { class: "button small", ...guard }),
  );

  /**
   * @param {string} verdict The verdict.
   * @param {string} label Its name.
   */
  function judge(verdict, label) {
    return change("POST", "/api/feedback", { event: episode.id, verdict, note: "" }, `${label}: ${episode.key}.`, changed);
  }

  function acknowledge() {
    return change("POST", "/api/acknowledge", { event: episode.id, note: "" }, `Acknowledged: ${episode.key}.`, changed);
  }

  async function silence() {
    const names = (episode.channels ?? []).map((/** @type {any} */ channel) => channel.name);
    const given = await ask("Silence", "Nobody is alerted for this key. It is watched and scored as before.", [
      { name: "minutes", label: "For how long", choices: { 30: "30 minutes", 120: "2 hours", 480: "8 hours", 1440: "a day", 10080: "a week" }, value: "120" },
      { name: "channel", label: "Channels", choices: { "*": "all channels", ...Object.fromEntries(names.map((/** @type {string} */ name) => [patternOf(name), `only ${name}`])) }, value: "*" },
      { name: "reason", label: "Reason", value: "" },
    ]);
    if (!given) return;
    const until = Math.round(state.now() + Number(given.minutes) * MINUTE);
    const body = { keys: [patternOf(episode.key)], channels: [given.channel], until_us: until, reason: given.reason };
    await change("POST", "/api/silence", body, `Silent until ${timeText(until)}: ${episode.key}.`, changed);
  }

  async function calendar() {
    const begin = Math.round(state.end()); // windows are compared with the times of records
    const given = await ask("Planned work", "A window in which the work is known. Times are in your zone.", [
      { name: "keys", label: "Keys (patterns)", value: patternOf(episode.key), required: true },
      { name: "begin", label: "Begins", type: "datetime-local", value: fieldTime(begin), required: true },
      { name: "end", label: "Ends", type: "datetime-local", value: fieldTime(begin + 2 * HOUR), required: true },
      { name: "reason", label: "What is done", value: "", required: true },
    ]);
    if (!given) return;
    const windows = [{ begin: new Date(given.begin).toISOString(), end: new Date(given.end).toISOString() }];
    // The name of a key may have blanks and commas.
    const own = patternOf(episode.key);
    const keys = given.keys.trim() === own.trim() ? [own] : given.keys.split(/[\s,]+/).filter(Boolean);
    const body = { keys, windows };
    await change("POST", "/api/control", { kind: "calendar", reason: given.reason, body }, "The window is in the calendar.", changed);
  }
}

/**
 * Change something, say so, and offer the undo.
 *
 * @param {string} method HTTP method.
 * @param {string} path Path of the API.
 * @param {any} body Body of the request.
 * @param {string} sentence What has happened then.
 * @param {() => void} changed Function that is called after it, and after the undo.
 * @returns {Promise<boolean>} Whether it was done.
 */
export async function change(method, path, body, sentence, changed) {
  try {
    const answer = await send(method, path, body);
    const author = answer.document?.author ?? state.status?.user;
    notify(author ? `${sentence} By ${author}.` : sentence, { undo: answer.undo, onUndone: changed });
    changed();
    return true;
  } catch (error) {
    fault(error);
    return false;
  }
}
