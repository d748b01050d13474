/** Key: every channel with its band, what the model made of it, and what people did about it. */
import { get, isAbort, keyPath } from "../api.js";
import { KeyCharts } from "../charts/key_charts.js";
import { pictureOf, save } from "../charts/picture.js";
import { TimeWindow } from "../charts/time_window.js";
import { h, icon, show } from "../dom.js";
import { live } from "../live.js";
import { fault, notify } from "../notices.js";
import { button, emptyState } from "../parts.js";
import { setQuery } from "../router.js";
import { state } from "../state.js";
import { theme } from "../theme.js";
import { DAY, HOUR, isoText, spanOf, spanText, timeOf } from "../times.js";
import { Readout, documentList, episodeList } from "./key_side.js";

/** @type {[string, number][]} */
const RANGES = [["1h", HOUR], ["6h", 6 * HOUR], ["24h", DAY], ["7d", 7 * DAY]];
const LIVE_MS = 2_000;
const POINTS = 600;

/** @type {import("../app.js").Open} */
export function open(view, { key: given, query }) {
  const key = /** @type {string} */ (given);
  const chosen = query.get("event");
  const span = startSpan(query);
  const readout = new Readout(key);
  const charts = new KeyCharts(span, { hover, pin });
  const controller = new AbortController();
  /** @type {AbortController | null} */
  let loading = null;
  /** @type {any} */
  let about = null;
  let isSeen = false;
  /** @type {number | null} */
  let pinnedUs = timeOf(query.get("at"));
  let timer = 0;
  let pulse = 0;

  const ranges = h("div", { class: "segments", role: "group", "aria-label": "Span" });
  const spanLine = h("p", { class: "span-line" });
  const head = h("div", { class: "key-head" });
  const episodes = h("div", { class: "episodes" });
  const documents = h("div", {});
  const empty = h("div", {});
  show(
    view,
    head,
    h("div", { class: "bar key-bar" }, ranges, tools(), spanLine),
    h(
      "div",
      { class: "key" },
      h("section", { class: "panel key-charts", "aria-label": "Charts" }, empty, charts.root),
      h(
        "aside",
        { class: "key-side" },
        readout.root,
        h("section", { class: "panel" }, h("h2", {}, "Episodes"), episodes),
        h("section", { class: "panel" }, h("h2", {}, "Documents"), documents),
      ),
    ),
  );
  drawHead();
  drawRanges();
  span.addEventListener("change", drawRanges);
  span.addEventListener("settled", onSettled);
  const onTheme = () => charts.repaint();
  theme.addEventListener("change", onTheme);
  const onChange = () => loadAbout();
  live.addEventListener("control", onChange);
  live.addEventListener("trigger", onTrigger);
  live.addEventListener("rows", onRows);
  load();

  /** Ask for everything; for a key that was never seen, only whether it has come. */
  async function load() {
    try {
      isSeen ||= (await get("/keys", { key, limit: 1 }, controller.signal)).total > 0;
    } catch (error) {
      if (!isAbort(error)) fault(error);
      return;
    }
    if (!isSeen) drawUnknown();
    else await Promise.all([loadAbout(), loadSeries()]);
  }

  async function loadAbout() {
    if (!isSeen) return;
    try {
      about = await get(keyPath(key), {}, controller.signal);
      readout.cadence = state.severitySeconds(about.row_seconds);
      hover(null);
      drawHead();
      show(episodes, episodeList(about.episodes, chosen, loadAbout));
      show(documents, documentList(about.documents, loadAbout));
      charts.setEpisodes(about.episodes);
    } catch (error) {
      if (!isAbort(error)) fault(error);
    }
  }

  async function loadSeries() {
    loading?.abort();
    loading = new AbortController();
    const points = Math.max(200, Math.min(2000, Math.round(charts.root.clientWidth || POINTS)));
    // A third more on each side, so that a pan shows something before the answer comes.
    const room = span.follows === null ? span.lengthUs / 3 : 0;
    const bounds = { begin_us: Math.round(span.beginUs - room), end_us: Math.round(span.endUs + room), points };
    try {
      const series = await get(keyPath(key, "series"), bounds, loading.signal);
      charts.set(series);
      if (about) charts.setEpisodes(about.episodes);
      charts.pin(pinnedUs);
      show(empty, series.time_us.length ? null : emptySpan());
      hover(null);
      if (pinnedUs !== null) readout.forecast(series, pinnedUs);
    } catch (error) {
      if (!isAbort(error)) fault(error);
    }
  }

  /** @param {number | null} place Place in the series under the cursor. */
  function hover(place) {
    const { series } = charts;
    if (!series) return;
    if (place === null && pinnedUs !== null) place = nearest(series.time_us, pinnedUs);
    readout.show(series, place ?? nearest(series.time_us, span.endUs));
  }

  /** @param {number | null} us Time of a click. */
  function pin(us) {
    const { series } = charts;
    if (!series?.time_us.length) return;
    pinnedUs = us === null ? null : series.time_us[nearest(series.time_us, us)];
    setQuery({ at: pinnedUs === null ? null : isoText(pinnedUs) });
    charts.pin(pinnedUs);
    hover(null);
    if (pinnedUs !== null) readout.forecast(series, pinnedUs);
  }

  /** @param {number} step Rows to move the pinned time by. */
  function step(step) {
    const { series } = charts;
    if (!series?.time_us.length) return;
    const place = nearest(series.time_us, pinnedUs ?? span.endUs) + step;
    pin(series.time_us[Math.max(0, Math.min(series.time_us.length - 1, place))]);
  }

  function onSettled() {
    if (span.follows !== null) {
      const name = RANGES.find(([, length]) => length === span.follows)?.[0] ?? `${Math.round(span.follows / 1e6)}s`;
      setQuery({ from: null, to: null, range: name === "1h" ? null : name });
    } else {
      setQuery({ from: isoText(Math.floor(span.beginUs / 1e6) * 1e6), to: isoText(Math.ceil(span.endUs / 1e6) * 1e6), range: null });
    }
    if (isSeen) loadSeries();
    else load();
  }

  function onRows() {
    if (span.follows === null || live.isPaused || Date.now() - pulse < LIVE_MS) return;
    pulse = Date.now();
    const end = state.end();
    if (end > span.endUs) span.set(end - span.follows, end, span.follows);
  }

  /** @param {Event} event A trigger. */
  function onTrigger(event) {
    if (/** @type {CustomEvent} */ (event).detail.key !== key) return;
    clearTimeout(timer);
    timer = setTimeout(isSeen ? loadAbout : load, 500);
  }

  /** @param {number} length Length of the live span. */
  function follow(length) {
    const end = state.end();
    span.set(end - length, end, length);
  }

  function drawHead() {
    show(
      head,
      h("h1", { class: "key-title" }, key),
      about?.firing ? h("span", { class: "status firing" }, "fires now") : null,
      about && h("span", { class: "key-facts" }, `partition ${about.partition} · ${about.channels.length} channels`),
    );
  }

  function drawRanges() {
    show(
      ranges,
      RANGES.map(([name, length]) => button(name, () => follow(length), { class: "segment", "aria-pressed": String(span.follows === length) })),
      button("Live", () => follow(span.follows ?? span.lengthUs), { class: "segment", "aria-pressed": String(span.follows !== null), title: "Follow the newest record" }),
    );
    spanLine.textContent = spanText(span.beginUs, span.endUs);
  }

  function tools() {
    return h(
      "div",
      { class: "tools" },
      button(icon("left"), () => span.pan(-span.lengthUs / 4), { "aria-label": "Earlier", title: "Earlier (←)", class: "button square" }),
      button(icon("right"), () => span.pan(span.lengthUs / 4), { "aria-label": "Later", title: "Later (→)", class: "button square" }),
      button(icon("plus"), () => span.zoom(0.5), { "aria-label": "Zoom in", title: "Zoom in (+), or Ctrl and wheel", class: "button square" }),
      button(icon("minus"), () => span.zoom(2), { "aria-label": "Zoom out", title: "Zoom out (-), or double click", class: "button square" }),
      button([icon("link"), "Link"], copyLink, { title: "Copy a link to this span" }),
      button([icon("picture"), "PNG"], savePicture, { title: "Save the charts as a picture" }),
    );
  }

  async function copyLink() {
    const link = new URL(location.href);
    link.searchParams.set("from", isoText(Math.floor(span.beginUs / 1e6) * 1e6));
    link.searchParams.set("to", isoText(Math.ceil(span.endUs / 1e6) * 1e6));
    link.searchParams.delete("range");
    try {
      await navigator.clipboard.writeText(link.href);
      notify("The link to this span is in the clipboard.");
    } catch {
      notify(`The browser gives no access to the clipboard. The link: ${link.href}`);
    }
  }

  async function savePicture() {
    try {
      const coverage = Math.round(100 * (state.status?.coverage ?? 0.95));
      const blob = await pictureOf({
        title: key,
        subtitle: `${state.status?.stream ?? ""} · ${spanText(span.beginUs, span.endUs)}`,
        foot: `Band: ${coverage} % of usual values lie in it. Thin line: usual value. Red spans: the key fired.`,
        charts: charts.pictures(),
      });
      save(blob, `${key.replace(/[^\w.-]+/g, "_")}-${isoText(span.beginUs).replace(/[:.]/g, "-")}.png`);
    } catch (error) {
      fault(error);
    }
  }

  function emptySpan() {
    if (!state.status?.scores) return emptyState("No scores have come yet", "Set output.scores = \"all\" in the settings of the workers, or a pattern that matches this key.");
    return emptyState("No rows in this span", `The console keeps ${state.status.hours} hours.`, button("Show the newest hour", () => follow(HOUR)));
  }

  function drawUnknown() {
    show(empty, emptyState("This key has not been seen", "Check its name, or whether output.scores has a pattern that matches it.", h("a", { href: "/", class: "button" }, "Show all keys")));
    show(episodes, h("p", { class: "quiet" }, "None."));
    show(documents, h("p", { class: "quiet" }, "None."));
  }

  return {
    title: key,
    shortcuts: [
      { keys: "ArrowLeft", does: "earlier (with Shift: one row)", run: (event) => (event.shiftKey ? step(-1) : span.pan(-span.lengthUs / 8)) },
      { keys: "ArrowRight", does: "later (with Shift: one row)", run: (event) => (event.shiftKey ? step(1) : span.pan(span.lengthUs / 8)) },
      { keys: "+ =", does: "zoom in", run: () => span.zoom(0.5) },
      { keys: "-", does: "zoom out", run: () => span.zoom(2) },
      { keys: "l", does: "follow the newest record", run: () => follow(span.follows ?? HOUR) },
      { keys: "Escape", does: "unpin the time", run: () => pin(null) },
      { keys: "s", does: "save the picture", run: savePicture },
      { keys: "c", does: "copy the link", run: copyLink },
    ],
    close() {
      controller.abort();
      loading?.abort();
      clearTimeout(timer);
      span.close();
      charts.close();
      readout.close();
      theme.removeEventListener("change", onTheme);
      live.removeEventListener("control", onChange);
      live.removeEventListener("trigger", onTrigger);
      live.removeEventListener("rows", onRows);
    },
  };
}

/**
 * Return the span of an address: `from` and `to`, or a live `range`.
 *
 * @param {URLSearchParams} query Parameters of the address.
 */
function startSpan(query) {
  const [from, to] = [timeOf(query.get("from")), timeOf(query.get("to"))];
  if (from !== null && to !== null && from < to) return new TimeWindow(from, to);
  if (from !== null) return new TimeWindow(from - HOUR / 2, from + HOUR / 2);
  const length = spanOf(query.get("range")) ?? HOUR;
  const end = Math.round(state.end());
  const span = new TimeWindow(end - length, end);
  span.follows = length;
  return span;
}

/**
 * Return the place of the time that is nearest to another.
 *
 * @param {number[]} times Times in order.
 * @param {number} us The other time.
 */
function nearest(times, us) {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < us) low = middle + 1;
    else high = middle;
  }
  return low > 0 && us - times[low - 1] < times[low] - us ? low - 1 : low;
}

