/** Fleet: every key by time, the most severe first, and who fires now. */
import { get, isAbort } from "../api.js";
import { drawSwatch } from "../charts/colours.js";
import { HeatRows } from "../charts/heat_rows.js";
import { Heatmap } from "../charts/heatmap.js";
import { h, show } from "../dom.js";
import { episodeAddress } from "../episodes.js";
import { live } from "../live.js";
import { fault } from "../notices.js";
import { button, choice, emptyState, keyRow, textField } from "../parts.js";
import { go, keyAddress, setQuery } from "../router.js";
import { walk } from "../shortcuts.js";
import { state } from "../state.js";
import { theme } from "../theme.js";
import { durationText, timeElement } from "../times.js";
import { LEARNS, countText, paceNote, plural, rarity } from "../words.js";

const COLUMNS = 240;
const MOST = 10_000;
const LEAST_MS = 3_000;
const SPANS = { 15: "15 min", 60: "1 h", 360: "6 h", 1440: "24 h" };

/** @type {import("../app.js").Open} */
export function open(view, { query }) {
  const filter = {
    pattern: query.get("pattern") ?? "",
    channel: query.get("channel") ?? "",
    sort: query.get("sort") === "key" ? "key" : "severity",
    minutes: Object.hasOwn(SPANS, query.get("minutes") ?? "") ? String(query.get("minutes")) : "60",
    density: query.get("rows") ?? (innerWidth < 600 ? "dense" : "names"),
  };
  const map = new Heatmap((key) => go(keyAddress(key)));
  if (filter.density === "dense" || filter.density === "all") map.setDensity(filter.density);
  const numbers = h("dl", { class: "numbers" });
  const firing = h("ol", { class: "key-list" });
  const firingHead = h("h2", {}, "Fires now");
  const legend = h("div", { class: "legend" });
  const lately = h("ol", { class: "key-list" });
  const note = h("p", { class: "note", hidden: true });
  const body = h("div", { class: "heat-place" }, map.root);
  const controller = new AbortController();
  /** @type {number | null} */
  let rowSeconds = null;
  let undrawn = "";
  let timer = 0;
  let loads = 0;

  const channels = state.status?.channels ?? [];
  show(
    view,
    h("h1", { class: "sr-only" }, "Fleet"),
    numbers,
    h(
      "form",
      { class: "bar", role: "search", "aria-label": "Filter of the fleet", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      textField("Keys", "pattern, such as web-*", filter.pattern, (text) => change({ pattern: text })),
      choice("Channel", { "": "all channels", ...Object.fromEntries(channels.map((/** @type {string} */ name) => [name, name])) }, filter.channel, (name) => change({ channel: name })),
      choice("Order", { severity: "most severe first", key: "by name" }, filter.sort, (sort) => change({ sort })),
      choice("Span", SPANS, filter.minutes, (minutes) => change({ minutes })),
      choice("Rows", { names: "with names", dense: "dense", all: "whole fleet" }, map.density, (density) => {
        setQuery({ rows: density });
        map.setDensity(/** @type {"names" | "dense" | "all"} */ (density));
      }),
    ),
    note,
    h(
      "div",
      { class: "fleet" },
      h("section", { class: "panel fleet-map", "aria-label": "Heat map" }, body, legend),
      h(
        "aside",
        { class: "panel fleet-side", "aria-label": "Keys that fire" },
        firingHead,
        firing,
        h("h2", { class: "wide-only" }, "Lately"),
        lately,
      ),
    ),
  );
  drawLegend();
  drawNumbers();
  load();

  /** @param {Record<string, string>} changes Changes of the filter. */
  function change(changes) {
    Object.assign(filter, changes);
    setQuery({
      pattern: filter.pattern,
      channel: filter.channel,
      sort: filter.sort === "severity" ? null : filter.sort,
      minutes: filter.minutes === "60" ? null : filter.minutes,
    });
    load();
  }

  async function load() {
    clearTimeout(timer);
    const turn = ++loads;
    const { pattern, channel, sort, minutes } = filter;
    try {
      const [fleet, severe, recent] = await Promise.all([
        get("/fleet", { minutes, columns: COLUMNS, pattern: patternFor(pattern), channel, sort, limit: MOST }, controller.signal),
        get("/keys", { firing: 1, sort: "severity", limit: 50, pattern: patternFor(pattern), channel }, controller.signal),
        get("/events", { kind: "trigger", status: "resolved", limit: 12 }, controller.signal),
      ]);
      if (turn !== loads) return;
      rowSeconds = fleet.row_seconds;
      map.cadence = state.severitySeconds(rowSeconds);
      drawMap(new HeatRows(fleet));
      drawLegend();
      drawFiring(severe);
      drawLately(recent.events);
    } catch (error) {
      if (isAbort(error)) return;
      fault(error);
    }
    if (turn === loads) timer = setTimeout(() => (live.isPaused ? null : load()), Math.max(LEAST_MS, (Number(minutes) * 6e4) / COLUMNS));
  }

  /** @param {HeatRows} rows New rows. */
  function drawMap(rows) {
    map.set(rows);
    undrawn = rows.total > rows.length ? `${countText(rows.length)} of ${plural(rows.total, "key")} are drawn. Narrow the pattern to see the others.` : "";
    drawNote();
    const empty = rows.length ? null : emptyFleet();
    show(body, map.root, empty);
    map.root.hidden = Boolean(empty);
  }

  function drawNote() {
    note.textContent = [undrawn, paceNote(rowSeconds, state.historySeconds)].filter(Boolean).join(" ");
    note.hidden = !note.textContent;
  }

  function emptyFleet() {
    if (filter.pattern || filter.channel) {
      return emptyState("No key matches", "Patterns are as in a shell: * stands for any text, ? for one character.", button("Show all keys", () => go("/")));
    }
    if (state.status && !state.status.scores) {
      return emptyState(
        "No scores have come yet",
        "The console draws what workers write to the scores topic. Set output.scores = \"all\" in their settings, or a list of key patterns, and start them again.",
      );
    }
    return emptyState("No key has been seen yet", "As soon as a worker reads a record, its key appears here.");
  }

  /** @param {any} answer Keys that fire. */
  function drawFiring(answer) {
    firingHead.textContent = answer.total ? `Fires now: ${plural(answer.total, "key")}` : "Fires now";
    show(
      firing,
      answer.keys.length
        ? answer.keys.map((/** @type {any} */ row) => keyRow(row, map.cadence))
        : h("li", { class: "quiet" }, "Nothing fires. ", h("a", { href: "/incidents" }, "What fired before")),
    );
  }

  /** @param {any[]} episodes Episodes that are over, newest first. */
  function drawLately(episodes) {
    show(
      lately,
      episodes.length
        ? episodes.map((episode) =>
            h(
              "li",
              {},
              h(
                "a",
                { class: "key-row", href: episodeAddress(episode) },
                h("span", { class: "dot", "aria-hidden": "true" }),
                h("span", { class: "key-name" }, episode.key),
                h("span", { class: "key-channel" }, episode.channels?.[0]?.name ?? ""),
                h("span", { class: "key-rarity" }, timeElement(episode.starts_us), ` for ${durationText(episode.ends_us - episode.starts_us)}`),
              ),
            ),
          )
        : h("li", { class: "quiet" }, "Nothing has fired before."),
    );
  }

  function drawNumbers() {
    const { status } = state;
    if (!status) return;
    const age = !status.last_us ? null : state.now() - status.last_us;
    show(
      numbers,
      figure("Keys", countText(status.keys)),
      figure("Fire now", countText(status.firing), status.firing ? "is-firing" : ""),
      // The demo's machines live in a time of their own, which has no age.
      status.demo ? null : figure("Last record", age === null ? "none yet" : h("span", {}, age < 2e6 ? "now" : `${durationText(age)} ago`)),
      figure(status.demo ? "Simulated time" : "Newest time", timeElement(status.last_us), status.demo ? "" : "wide-only"),
      figure("History kept", `${status.hours} h`, "wide-only"),
    );
  }

  function drawLegend() {
    show(
      legend,
      [0, 2, 4, 6, 8].map((severity) => {
        const swatch = h("canvas", { class: "swatch", width: 14, height: 10, "aria-hidden": "true" });
        drawSwatch(swatch, severity);
        const words = severity ? rarity(severity, map.cadence) : "usual";
        return h("span", { class: "legend-step", title: `Severity ${severity}` }, swatch, severity === 8 ? `${words}, or rarer` : words);
      }),
      learningStep(),
      h("span", { class: "legend-mark" }, "fires now"),
    );
  }

  /** Part of the legend for keys that may not fire yet. */
  function learningStep() {
    const swatch = h("canvas", { class: "swatch", width: 14, height: 10, "aria-hidden": "true" });
    drawSwatch(swatch, null);
    return h("span", { class: "legend-step", title: "The key may not fire yet: its first rows teach what is usual." }, swatch, LEARNS);
  }

  const onResume = () => load();
  state.addEventListener("change", drawNumbers);
  state.addEventListener("change", drawNote);
  theme.addEventListener("change", drawLegend);
  live.addEventListener("resume", onResume);
  live.addEventListener("trigger", onTrigger);
  let soon = 0;

  function onTrigger() {
    clearTimeout(soon);
    soon = setTimeout(() => (live.isPaused ? null : load()), 700);
  }

  return {
    title: "Fleet",
    shortcuts: [
      ...walk(() => firing.parentElement, "a", "key of the list"),
      { keys: "m", does: "go to the heat map", run: () => map.scroller.focus() },
    ],
    close() {
      controller.abort();
      clearTimeout(timer);
      clearTimeout(soon);
      loads += 1;
      map.close();
      state.removeEventListener("change", drawNumbers);
      state.removeEventListener("change", drawNote);
      theme.removeEventListener("change", drawLegend);
      live.removeEventListener("resume", onResume);
      live.removeEventListener("trigger", onTrigger);
    },
  };
}

/**
 * Return the pattern of a filter: a text without wildcards finds keys that contain it.
 *
 * @param {string} text Text of the field.
 */
function patternFor(text) {
  if (!text) return "*";
  return /[*?[]/.test(text) ? text : `*${text}*`;
}

/**
 * @param {string} name Name of a number.
 * @param {any} value Its value.
 * @param {string} [kind] Class of it.
 */
function figure(name, value, kind = "") {
  return h("div", { class: `figure ${kind}` }, h("dt", {}, name), h("dd", {}, value));
}
