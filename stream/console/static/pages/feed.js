/** Incidents and feed: what fired, why, and what people said and did, newest first. */
import { get, isAbort } from "../api.js";
import { h, show } from "../dom.js";
import { episodeCard } from "../episodes.js";
import { live } from "../live.js";
import { fault } from "../notices.js";
import { button, choice, emptyState, textField } from "../parts.js";
import { setQuery } from "../router.js";
import { walk } from "../shortcuts.js";
import { timeElement } from "../times.js";
import { incidentCard } from "./incident_card.js";
import { Preview } from "./preview.js";

const LIMIT = 50;
const VIEWS = { feed: "Feed", incidents: "Incidents", history: "Who did what" };

/** @type {import("../app.js").Open} */
export function open(view, { query }) {
  const filter = {
    view: Object.hasOwn(VIEWS, query.get("view") ?? "") ? String(query.get("view")) : "feed",
    status: query.get("status") ?? "",
    key: query.get("key") ?? "",
  };
  const wanted = query.get("incident");
  /** @type {Map<string, any>} */
  const episodes = new Map();
  const controller = new AbortController();
  const list = h("div", { class: "feed", "aria-busy": "true" });
  const tabs = h("div", { class: "segments", role: "group", "aria-label": "What is shown" });
  const more = h("div", { class: "feed-more" });
  const preview = new Preview();
  list.addEventListener("focusin", look);
  list.addEventListener("pointerover", look);
  let turn = 0;
  let soon = 0;

  show(
    view,
    h("h1", { class: "sr-only" }, "Incidents and feed"),
    h(
      "div",
      { class: "bar" },
      tabs,
      choice("Status", { "": "all", firing: "fires now", resolved: "resolved" }, filter.status, (status) => change({ status })),
      textField("Key", "exact name", filter.key, (key) => change({ key })),
    ),
    h("div", { class: "feed-place" }, h("div", {}, list, more), preview.root),
  );
  drawTabs();
  load();
  const onEvent = () => {
    if (live.isPaused) return;
    clearTimeout(soon);
    soon = setTimeout(load, 500);
  };
  const kinds = ["trigger", "incident", "control", "resume"];
  for (const kind of kinds) live.addEventListener(kind, onEvent);

  /** @param {Event} event Focus or pointer on a card. */
  function look(event) {
    const card = event.target instanceof Element ? event.target.closest("[data-event]") : null;
    const episode = episodes.get(card?.getAttribute("data-event") ?? "");
    if (episode) preview.show(episode);
  }

  /** @param {any[]} shown Episodes of the feed. */
  function keep(shown) {
    for (const episode of shown) episodes.set(episode.id, episode);
    if (shown.length) preview.start(shown[0]);
  }

  /** @param {Record<string, string>} changes Changes of the filter. */
  function change(changes) {
    Object.assign(filter, changes);
    setQuery({ view: filter.view === "feed" ? null : filter.view, status: filter.status, key: filter.key, incident: null });
    drawTabs();
    load();
  }

  function drawTabs() {
    show(tabs, Object.entries(VIEWS).map(([name, label]) => button(label, () => change({ view: name }), { class: "segment", "aria-pressed": String(filter.view === name) })));
  }

  async function load() {
    const present = ++turn;
    try {
      const draw = { feed: loadFeed, incidents: loadIncidents, history: loadHistory }[filter.view];
      await draw?.(() => present === turn);
      list.setAttribute("aria-busy", "false");
    } catch (error) {
      if (!isAbort(error)) fault(error);
    }
  }

  /** @param {() => boolean} isPresent Function that says whether the answer is still wanted. */
  async function loadFeed(isPresent) {
    const answer = await get("/events", { kind: "trigger", status: filter.status, key: filter.key, limit: LIMIT }, controller.signal);
    if (!isPresent()) return;
    replace(answer.events.map((/** @type {any} */ episode) => episodeCard(episode, { changed: load })));
    drawMore(answer.next_us);
    keep(answer.events);
    if (!answer.events.length) show(list, nothing());
  }

  /** @param {number | null} beforeUs Time before which there is more. */
  function drawMore(beforeUs) {
    show(more, beforeUs === null || beforeUs === undefined ? null : button("Show older ones", () => older(beforeUs)));
  }

  /** @param {number} beforeUs Time before which to look. */
  async function older(beforeUs) {
    try {
      const answer = await get("/events", { kind: "trigger", status: filter.status, key: filter.key, limit: LIMIT, before_us: beforeUs }, controller.signal);
      list.append(...answer.events.map((/** @type {any} */ episode) => episodeCard(episode, { changed: load })));
      drawMore(answer.next_us);
      for (const episode of answer.events) episodes.set(episode.id, episode);
    } catch (error) {
      if (!isAbort(error)) fault(error);
    }
  }

  /** @param {() => boolean} isPresent Function that says whether the answer is still wanted. */
  async function loadIncidents(isPresent) {
    const { incidents } = await get("/incidents", { status: filter.status, limit: LIMIT }, controller.signal);
    if (!isPresent()) return;
    const shown = incidents.filter((/** @type {any} */ incident) => !filter.key || incident.members.some((/** @type {any} */ member) => member.key === filter.key));
    replace(shown.map((/** @type {any} */ incident) => incidentCard(incident, incident.id === wanted)));
    keep(shown.filter((/** @type {any} */ incident) => incident.members.length).map(firstMember));
    show(more);
    if (!shown.length) show(list, emptyState("No incident", "An incident joins alerts that belong together. The command ember incidents makes them from the triggers; without it, look at the feed."));
    list.querySelector(".is-chosen")?.scrollIntoView({ block: "center" });
  }

  /** @param {() => boolean} isPresent Function that says whether the answer is still wanted. */
  async function loadHistory(isPresent) {
    const { history } = await get("/control", {}, controller.signal);
    if (!isPresent()) return;
    show(more);
    if (!history.length) {
      show(list, emptyState("Nobody has changed anything yet", "Feedback, silences and rules are listed here with who wrote them, when and why."));
      return;
    }
    show(list, h("ol", { class: "panel history" }, history.map(historyRow)));
  }

  /** @param {HTMLElement[]} cards New cards; the focus stays with the card that had it. */
  function replace(cards) {
    const active = document.activeElement;
    const focused = active?.closest("[data-event]")?.getAttribute("data-event");
    const label = active?.textContent;
    show(list, cards);
    if (!focused) return;
    const card = cards.find((element) => element.dataset.event === focused);
    const places = /** @type {HTMLElement[]} */ ([...(card?.querySelectorAll("a, button") ?? [])]);
    (places.find((element) => element.textContent === label) ?? places[0])?.focus();
  }

  function nothing() {
    if (filter.status || filter.key) return emptyState("Nothing matches", "No episode has this status and key.", button("Show all", () => change({ status: "", key: "" })));
    return emptyState("Nothing has fired", "An episode appears here as soon as a key fires. The fleet shows how far the keys are from it.", h("a", { class: "button", href: "/" }, "Go to the fleet"));
  }

  return {
    title: "Incidents",
    shortcuts: walk(() => list, ".card-key", "alert"),
    close() {
      controller.abort();
      preview.close();
      clearTimeout(soon);
      turn += 1;
      for (const kind of kinds) live.removeEventListener(kind, onEvent);
    },
  };
}

/** @param {any} entry Entry of the history of documents. */
function historyRow(entry) {
  const timeUs = entry.time_us ?? (entry.time ? Date.parse(entry.time) * 1e3 : null);
  return h(
    "li",
    { class: "history-row" },
    timeElement(timeUs),
    h("span", { class: "history-who" }, entry.author ?? "somebody"),
    h("span", {}, `${entry.after ? "wrote" : "removed"} ${entry.key}`),
    h("span", { class: "history-why" }, entry.reason ?? ""),
  );
}

/**
 * Return the first member of an incident in the form of an episode.
 *
 * @param {any} incident The incident.
 */
function firstMember(incident) {
  const first = incident.members.reduce((/** @type {any} */ a, /** @type {any} */ b) => (b.since_us < a.since_us ? b : a));
  return { id: incident.id, key: first.key, starts_us: first.since_us, ends_us: incident.ends_us, channels: incident.top_channels };
}
