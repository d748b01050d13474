/** Beside the charts of a key: values under the cursor, its episodes, its documents. */
import { get, isAbort, keyPath } from "../api.js";
import { h, show } from "../dom.js";
import { episodeCard } from "../episodes.js";
import { change } from "../actions.js";
import { button } from "../parts.js";
import { state } from "../state.js";
import { timeElement } from "../times.js";
import { LEARNS, numberText, rarity } from "../words.js";

/** Table of one moment: the row under the cursor, or the pinned or newest one. */
export class Readout {
  /** Seconds between two rows of the key. @type {number | null} */
  cadence = null;
  /** @type {Record<string, number>} */
  #forecast = {};
  /** @type {AbortController | null} */
  #running = null;
  #last = -1;

  /** @param {string} key Text of the key. */
  constructor(key) {
    this.key = key;
    this.root = h("section", { class: "panel readout", "aria-label": "Values at one time" });
  }

  /**
   * Show a row of the series.
   *
   * @param {any} series The series.
   * @param {number} place Place of the row in it.
   */
  show(series, place) {
    if (!series || place < 0 || place >= series.time_us.length) {
      show(this.root, h("p", { class: "quiet" }, "No row in this span."));
      return;
    }
    this.#last = place;
    const [severity, threshold] = [series.severity[place], series.threshold[place]];
    const learns = severity === null && threshold === null;
    const rows = Object.entries(series.channels).map(([name, channel]) => {
      const [value, lower, upper] = [channel.value[place], channel.lower[place], channel.upper[place]];
      const isOutside = value !== null && lower !== null && (value < lower || value > upper);
      return h(
        "tr",
        { class: isOutside ? "is-outside" : "" },
        h("th", { scope: "row", title: name }, name),
        h("td", {}, numberText(value)),
        h("td", {}, numberText(channel.usual[place])),
        h("td", { class: "band-cell" }, lower === null ? "–" : `${numberText(lower)} – ${numberText(upper)}`),
        h("td", {}, percent(channel.contribution[place])),
        this.#hasForecast && h("td", {}, numberText(this.#forecast[name])),
      );
    });
    show(
      this.root,
      h("h2", {}, timeElement(series.time_us[place])),
      h(
        "p",
        { class: "readout-words" },
        h("strong", {}, learns ? LEARNS : rarity(severity, this.cadence)),
        ` · evidence ${numberText(series.evidence[place])}${learns ? "" : ` of ${numberText(threshold)}`}`,
      ),
      h(
        "div",
        { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Channels" },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h("tr", {}, ["Channel", "Value", "Usual", "Band", "Part", ...(this.#hasForecast ? ["Forecast"] : [])].map((name) => h("th", { scope: "col" }, name))),
          ),
          h("tbody", {}, rows),
        ),
      ),
    );
  }

  get #hasForecast() {
    return Object.keys(this.#forecast).length > 0;
  }

  /**
   * Ask for what the network forecast at a time, and add it.
   *
   * @param {any} series The series that is shown.
   * @param {number} timeUs The time.
   */
  async forecast(series, timeUs) {
    this.#running?.abort();
    this.#running = new AbortController();
    try {
      const answer = await get(keyPath(this.key, "activations"), { time_us: timeUs }, this.#running.signal);
      this.#forecast = answer.forecast ?? {};
      this.show(series, this.#last);
    } catch (error) {
      // The network is an addition: without one the table stays as it is.
      if (!isAbort(error)) this.#forecast = {};
    }
  }

  /** Give up what is under way. */
  close() {
    this.#running?.abort();
  }
}

/**
 * Create the list of a key's episodes.
 *
 * @param {any[]} episodes The episodes, newest first.
 * @param {string | null} chosen Id of the one that the page is opened for.
 * @param {() => void} changed Function that is called after a change.
 */
export function episodeList(episodes, chosen, changed) {
  if (!episodes.length) return h("p", { class: "quiet" }, "This key has not fired in the hours that are kept.");
  return episodes.map((episode) => episodeCard(episode, { changed, withKey: false, isChosen: episode.id === chosen }));
}

/**
 * Create the list of the documents that apply to a key.
 *
 * @param {any[]} documents The documents.
 * @param {() => void} changed Function that is called after a change.
 */
export function documentList(documents, changed) {
  if (!documents.length) {
    return h("p", { class: "quiet" }, "No rule, silence or calendar applies to this key. ", h("a", { href: "/what-if" }, "Try a rule"), ".");
  }
  return h("ul", { class: "documents" }, documents.map((document) => {
    const kind = document.kind ?? document.body?.kind;
    return h(
      "li",
      { class: "document" },
      h("span", { class: "document-kind" }, kind),
      h("span", { class: "document-name" }, document.name),
      h("span", { class: "document-by" }, `${document.author}${document.reason ? `: ${document.reason}` : ""}`),
      button("Remove", () => change("DELETE", `/api/control/${encodeURIComponent(kind)}/${encodeURIComponent(document.name)}`, undefined, `Removed: ${kind}/${document.name}.`, changed), { class: "button small", disabled: Boolean(state.locked), title: state.locked || null }),
    );
  }));
}

/** @param {number | null} share A share of 1. */
function percent(share) {
  return share === null || share === undefined ? "–" : `${Math.round(100 * share)} %`;
}
