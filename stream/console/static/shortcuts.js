/** Keys of the keyboard, and the page that lists them. */
import { h } from "./dom.js";

/** @typedef {{keys: string, does: string, run?: (event: KeyboardEvent) => void}} Shortcut */

/** @type {Shortcut[]} */
let everywhere = [];
/** @type {Shortcut[]} */
let ofPage = [];

/**
 * Set the shortcuts of all pages.
 *
 * @param {Shortcut[]} shortcuts The shortcuts.
 */
export function startShortcuts(shortcuts) {
  everywhere = [...shortcuts, { keys: "?", does: "show these keys", run: showShortcuts }];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    for (const shortcut of [...ofPage, ...everywhere]) {
      if (!shortcut.run || !shortcut.keys.split(" ").includes(event.key)) continue;
      event.preventDefault();
      shortcut.run(event);
      return;
    }
  });
}

/**
 * Set the shortcuts of the present page.
 *
 * @param {Shortcut[]} shortcuts The shortcuts.
 */
export function setPageShortcuts(shortcuts) {
  ofPage = shortcuts;
}

/** Show all keys in a dialog. */
export function showShortcuts() {
  const rows = [...ofPage, ...everywhere].map(({ keys, does }) =>
    h(
      "div",
      { class: "shortcut" },
      h("dt", {}, keys.split(" ").map((key) => h("kbd", {}, NAMES[key] ?? key))),
      h("dd", {}, does),
    ),
  );
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-label": "Keys", onclose: () => dialog.remove() },
    h("h2", {}, "Keys"),
    h("dl", { class: "shortcuts" }, rows),
    h("div", { class: "form-end" }, h("button", { class: "button", onclick: () => dialog.close() }, "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** @type {Record<string, string>} */
const NAMES = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
};

/**
 * Return shortcuts that walk through the links of a list with j and k.
 *
 * @param {() => Element | null} list Function that returns the list.
 * @param {string} selector Selector of what gets the focus.
 * @param {string} noun What the list has.
 * @returns {Shortcut[]}
 */
export function walk(list, selector, noun) {
  /** @param {number} step 1 for the next one, -1 for the one before. */
  const move = (step) => {
    const places = /** @type {HTMLElement[]} */ ([...(list()?.querySelectorAll(selector) ?? [])]);
    const place = places.findIndex((element) => element.contains(document.activeElement));
    const next = place < 0 ? (step > 0 ? 0 : places.length - 1) : place + step;
    places[Math.max(0, Math.min(places.length - 1, next))]?.focus();
  };
  return [
    { keys: "j", does: `next ${noun}`, run: () => move(1) },
    { keys: "k", does: `previous ${noun}`, run: () => move(-1) },
    { keys: "Enter", does: `open the ${noun}` },
  ];
}

/** @param {EventTarget | null} target Target of a key. */
function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}
