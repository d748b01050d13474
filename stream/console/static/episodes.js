/** An episode as a card: what, where, why, and what can be done. */
import { actionsOf } from "./actions.js";
import { h } from "./dom.js";
import { channelChips } from "./parts.js";
import { keyAddress } from "./router.js";
import { state } from "./state.js";
import { MINUTE, durationText, isoText, timeElement } from "./times.js";
import { numberText, rarity } from "./words.js";

/**
 * Return the address of an episode: its key at that time, with room before and after.
 *
 * @param {any} episode The episode.
 */
export function episodeAddress(episode) {
  const end = episode.ends_us ?? Math.max(episode.starts_us + 10 * MINUTE, state.end());
  const room = Math.max(10 * MINUTE, (end - episode.starts_us) * 0.6);
  return keyAddress(episode.key, {
    from: isoText(Math.floor((episode.starts_us - room) / 1e6) * 1e6),
    to: isoText(Math.ceil((end + room / 2) / 1e6) * 1e6),
    event: episode.id,
  });
}

/**
 * Create the card of an episode.
 *
 * @param {any} episode The episode.
 * @param {{changed: () => void, withKey?: boolean, isChosen?: boolean}} options Function that is
 *   called after a change; whether the key is named; whether the page is opened for it.
 */
export function episodeCard(episode, { changed, withKey = true, isChosen = false }) {
  const isFiring = episode.status === "firing";
  const end = episode.ends_us ?? state.end();
  return h(
    "article",
    { class: `card ${isFiring ? "is-firing" : ""} ${isChosen ? "is-chosen" : ""}`, "data-event": episode.id },
    h(
      "header",
      { class: "card-head" },
      h("span", { class: `status ${isFiring ? "firing" : "resolved"}` }, isFiring ? "fires" : "resolved"),
      h("a", { class: "card-key", href: episodeAddress(episode) }, withKey ? episode.key : timeText(episode)),
      h("span", { class: "card-time" }, withKey ? timeElement(episode.starts_us) : null, ` for ${durationText(end - episode.starts_us)}`),
    ),
    h("p", { class: "card-reason", title: episode.description || null }, reasonOf(episode)),
    channelChips(episode.channels ?? []),
    documentsOf(episode),
    h(
      "div",
      { class: "card-foot" },
      h(
        "p",
        { class: "card-facts" },
        peakOf(episode),
        episode.incident && h("a", { href: `/incidents?view=incidents&incident=${encodeURIComponent(episode.incident)}` }, "Part of an incident"),
      ),
      actionsOf(episode, changed),
    ),
  );
}

/** @param {any} episode The episode. */
function peakOf(episode) {
  const peak = episode.peak ?? episode.severity;
  // A key that fell silent fires without a severity.
  if (!peak || peak < 1) return h("span", {}, episode.reason || "");
  return h("span", { title: `Severity ${numberText(peak)}` }, `At its peak ${rarity(peak, state.severitySeconds(episode.row_seconds ?? null))}`);
}

/**
 * Return the words of an event, without the key that stands above them.
 *
 * @param {any} episode The episode.
 */
export function reasonOf(episode) {
  const summary = String(episode.summary ?? "");
  const rest = summary.startsWith(episode.key) ? summary.slice(episode.key.length) : summary;
  // After the key and a space stands a verb, or the channel of a limit: names are kept as they are.
  if (episode.alert !== "EmberLimit" && /^ \w/.test(rest)) return rest.charAt(1).toUpperCase() + rest.slice(2);
  return rest.replace(/^[:,\s]+/, "") || episode.description || episode.reason || episode.alert || "No reason was given.";
}

/** @param {any} episode The episode. */
function timeText(episode) {
  return timeElement(episode.starts_us);
}

/** @param {any} episode The episode. */
function documentsOf(episode) {
  /** @type {[string, any][]} */
  const written = [
    [VERDICTS[episode.feedback?.body?.verdict ?? episode.feedback?.verdict] ?? "Judged", episode.feedback],
    ["Acknowledged", episode.acknowledged],
    ["Silenced", episode.silenced],
  ];
  return written
    .filter(([, document]) => document)
    .map(([word, document]) =>
      h("p", { class: "card-word" }, `${word} by ${document.author ?? "somebody"}`, document.reason ? `: ${document.reason}` : ""),
    );
}

/** @type {Record<string, string>} */
const VERDICTS = { "false-alarm": "Called a false alarm", real: "Called real", "normal-now": "Called normal now" };
