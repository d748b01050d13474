/** Start of the page: theme, head, live events, and the page of the address. */
import { takeToken } from "./api.js";
import { startDemo } from "./demo.js";
import { h, show } from "./dom.js";
import { live } from "./live.js";
import { fault } from "./notices.js";
import { go, startRouter } from "./router.js";
import { setPageShortcuts, startShortcuts } from "./shortcuts.js";
import { state } from "./state.js";
import { startTheme, switchTheme } from "./theme.js";
import { PAGES, markPage, startTop } from "./top.js";

/**
 * @typedef {{title: string, close?: () => void, shortcuts?: import("./shortcuts.js").Shortcut[]}} Page
 * @typedef {(view: HTMLElement, route: import("./router.js").Route) => Page} Open
 */

/** @type {Record<string, () => Promise<{open: Open}>>} */
const MODULES = {
  fleet: () => import("./pages/fleet.js"),
  key: () => import("./pages/key.js"),
  feed: () => import("./pages/feed.js"),
  whatif: () => import("./pages/whatif.js"),
  network: () => import("./pages/network.js"),
  health: () => import("./pages/health.js"),
};

const view = /** @type {HTMLElement} */ (document.getElementById("page"));
/** @type {Page | null} */
let present = null;
let opened = 0;

/** @param {import("./router.js").Route} route Route to open. */
async function openRoute(route) {
  const turn = ++opened;
  present?.close?.();
  present = null;
  setPageShortcuts([]);
  markPage(route.name);
  const module = MODULES[route.name];
  if (!module) {
    show(
      view,
      h(
        "div",
        { class: "empty" },
        h("h1", {}, "There is no such page"),
        h("p", {}, "The address is not one of the console. ", h("a", { href: "/" }, "Go to the fleet"), "."),
      ),
    );
    document.title = "No such page · Ember";
    return;
  }
  try {
    const { open } = await module();
    if (turn !== opened) return;
    view.className = `page page-${route.name}`;
    present = open(view, route);
    document.title = `${present.title} · ${state.status?.stream ?? "Ember"}`;
    setPageShortcuts(present.shortcuts ?? []);
  } catch (error) {
    fault(error);
  }
}

takeToken();
startTheme();
startTop();
startShortcuts([
  { keys: "/", does: "find a key", run: () => document.getElementById("search")?.focus() },
  ...PAGES.map(([, address, label], place) => ({
    keys: String(place + 1),
    does: `go to ${label}`,
    run: () => go(address),
  })),
  { keys: "p", does: "pause or go on", run: () => live.toggle() },
  { keys: "t", does: "light or dark", run: switchTheme },
]);
try {
  await state.start();
} catch (error) {
  fault(error);
}
live.start();
startDemo();
startRouter(openRoute);
