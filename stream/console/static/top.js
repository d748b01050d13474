/** Head of every page: where one is, a search, and whether what one sees is live. */
import { h, icon, show } from "./dom.js";
import { live } from "./live.js";
import { searchBox } from "./search.js";
import { showShortcuts } from "./shortcuts.js";
import { state } from "./state.js";
import { isDark, switchTheme, theme } from "./theme.js";
import { ZONE, durationText, timeText } from "./times.js";

/** @type {[string, string, string, "fleet" | "feed" | "whatif" | "network" | "health"][]} */
export const PAGES = [
  ["fleet", "/", "Fleet", "fleet"],
  ["feed", "/incidents", "Incidents", "feed"],
  ["whatif", "/what-if", "What if", "whatif"],
  ["network", "/network", "Network", "network"],
  ["health", "/health", "Health", "health"],
];

/** Draw the head, once. */
export function startTop() {
  const top = /** @type {HTMLElement} */ (document.getElementById("top"));
  const stream = h("span", { class: "brand-stream" });
  const pill = h("button", { class: "pill", onclick: () => live.toggle() });
  const firing = h("span", { class: "badge", hidden: true });
  const user = h("span", { class: "user" });
  const switcher = h("button", { class: "button plain", onclick: switchTheme }, icon("theme"));
  const links = PAGES.map(([name, address, label, picture]) =>
    h(
      "a",
      { class: "tab", href: address, "data-page": name },
      icon(picture),
      h("span", {}, label),
      name === "feed" && firing,
    ),
  );
  show(
    top,
    h(
      "a",
      { class: "brand", href: "/", "aria-label": "Ember console, fleet" },
      h("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 }),
      stream,
    ),
    h("nav", { class: "tabs", "aria-label": "Pages" }, links),
    searchBox(),
    pill,
    user,
    switcher,
    h(
      "button",
      { class: "button plain help", "aria-label": "Keys of the keyboard", onclick: showShortcuts },
      icon("help"),
    ),
  );
  const drawTheme = () => {
    switcher.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    switcher.title = isDark() ? "Light colours" : "Dark colours";
  };
  const draw = () => {
    const { status } = state;
    stream.textContent = status?.stream ?? "Ember";
    user.textContent = status ? (status.user ?? (status.can_write ? "" : "read only")) : "";
    user.title = state.locked || "Changes are written in this name.";
    const count = status?.firing ?? 0;
    firing.hidden = !count;
    firing.textContent = String(count);
    firing.title = "Keys that fire now";
    const isOld = status?.last_us && !status.demo;
    const age = isOld ? `${durationText(state.now() - status.last_us)} ago` : status?.last_us ? timeText(status.last_us) : "none yet";
    // The connection to the console says nothing of the console's own to Kafka.
    const isWaiting = status?.reading === "waiting";
    const [word, kind] = {
      live: isWaiting ? ["Waiting", "lost"] : ["Live", "live"],
      paused: ["Paused", "paused"],
      lost: ["Reconnecting", "lost"],
    }[live.state];
    pill.className = `pill ${kind}`;
    pill.textContent = word;
    const trouble = isWaiting && status?.trouble ? `${status.trouble} ` : "";
    pill.title = `${trouble}Last record: ${age}. Times are in ${ZONE}. Press p to ${live.isPaused ? "go on" : "pause"}.`;
    pill.setAttribute("aria-label", `${word}. ${pill.title}`);
    document.body.classList.toggle("is-lost", (live.state === "lost" || isWaiting) && state.wasLive);
  };
  theme.addEventListener("change", drawTheme);
  state.addEventListener("change", draw);
  live.addEventListener("state", draw);
  drawTheme();
  draw();
}

/** @param {string} name Name of the page that is open. */
export function markPage(name) {
  for (const link of document.querySelectorAll(".tab")) {
    const isOpen = link instanceof HTMLElement && link.dataset.page === (name === "key" ? "fleet" : name);
    if (isOpen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
