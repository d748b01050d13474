/** Beside the feed: the leading channel of an episode with its band, and the evidence. */
import { get, isAbort, keyPath } from "../api.js";
import { KeyCharts } from "../charts/key_charts.js";
import { TimeWindow } from "../charts/time_window.js";
import { h, show } from "../dom.js";
import { episodeAddress } from "../episodes.js";
import { state } from "../state.js";
import { theme } from "../theme.js";
import { MINUTE, spanText } from "../times.js";

const WAIT_MS = 120;
const POINTS = 400;

/** Charts of one episode; on a narrow page it is not shown and asks for nothing. */
export class Preview {
  #id = "";
  #timer = 0;
  /** @type {AbortController | null} */
  #running = null;
  /** @type {KeyCharts | null} */
  #charts = null;

  constructor() {
    this.root = h("aside", { class: "panel preview", "aria-label": "The episode in a picture", hidden: true });
    this.onTheme = () => this.#charts?.repaint();
    theme.addEventListener("change", this.onTheme);
  }

  /** @param {any} episode Episode to show where none is shown yet. */
  start(episode) {
    if (!this.#id) this.show(episode);
  }

  /** @param {any} episode Episode to show, unless the pointer goes on. */
  show(episode) {
    this.root.hidden = false;
    if (episode.id === this.#id || !this.root.offsetParent) return;
    this.#id = episode.id;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(episode), WAIT_MS);
  }

  /** Stop to follow the theme, and free the charts. */
  close() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#charts?.close();
    theme.removeEventListener("change", this.onTheme);
  }

  /** @param {any} episode Episode to show. */
  async #load(episode) {
    this.#running?.abort();
    this.#running = new AbortController();
    const end = episode.ends_us ?? Math.max(state.end(), episode.starts_us + MINUTE);
    const room = Math.max(5 * MINUTE, end - episode.starts_us);
    const span = new TimeWindow(Math.round(episode.starts_us - room), Math.round(end + room / 4));
    const channels = (episode.channels ?? []).slice(0, 2).map((/** @type {any} */ channel) => channel.name);
    const bounds = { begin_us: span.beginUs, end_us: span.endUs, points: POINTS, channels: channels.join(",") };
    try {
      const series = await get(keyPath(episode.key, "series"), bounds, this.#running.signal);
      // The leading channel stands first.
      series.channels = Object.fromEntries(channels.filter((/** @type {string} */ name) => Object.hasOwn(series.channels, name)).map((/** @type {string} */ name) => [name, series.channels[name]]));
      this.#charts?.close();
      const charts = new KeyCharts(span, { hover: () => {}, pin: () => {} });
      this.#charts = charts;
      show(
        this.root,
        h(
          "div",
          { class: "preview-head" },
          h("h2", {}, h("a", { href: episodeAddress(episode) }, episode.key)),
          h("span", { class: "quiet" }, spanText(span.beginUs, span.endUs)),
        ),
        series.time_us.length ? charts.root : h("p", { class: "quiet" }, "No scored rows of that time are kept."),
      );
      if (!series.time_us.length) return;
      charts.set(series);
      charts.setEpisodes([episode]);
    } catch (error) {
      if (!isAbort(error)) show(this.root, h("p", { class: "quiet" }, error instanceof Error ? error.message : ""));
    }
  }
}
