/** Bars that say what happened, with an undo where there is one. They go away by themselves. */
import { h, icon } from "./dom.js";
import { send } from "./api.js";

const SECONDS = 12;
const MOST = 4;

/**
 * Show a sentence.
 *
 * @param {string} sentence What happened.
 * @param {{kind?: "done" | "fault", undo?: any, onUndone?: () => void}} [options] Kind of the bar,
 *   the request that takes the change back, and what to do after it.
 */
export function notify(sentence, { kind = "done", undo = null, onUndone } = {}) {
  const list = /** @type {HTMLElement} */ (document.getElementById("notices"));
  for (const same of list.children) {
    if (same instanceof HTMLElement && same.dataset.sentence === sentence) same.remove();
  }
  while (list.children.length >= MOST) list.firstElementChild?.remove();
  const bar = h(
    "div",
    { class: `notice ${kind}`, role: kind === "fault" ? "alert" : null },
    h("span", { class: "notice-text" }, sentence),
    undo && h("button", { class: "button small", onclick: takeBack }, "Undo"),
    h(
      "button",
      { class: "button plain small", "aria-label": "Dismiss", onclick: () => bar.remove() },
      icon("close"),
    ),
  );
  bar.dataset.sentence = sentence;
  list.append(bar);
  let timer = setTimeout(() => bar.remove(), SECONDS * 1e3);
  // A bar that is being read or reached for stays.
  for (const event of ["pointerenter", "focusin"]) {
    bar.addEventListener(event, () => clearTimeout(timer));
  }
  bar.addEventListener("pointerleave", () => {
    timer = setTimeout(() => bar.remove(), SECONDS * 1e3);
  });

  async function takeBack() {
    bar.remove();
    try {
      await send(undo.method, undo.path, undo.body ?? undefined);
      notify("Taken back.");
      onUndone?.();
    } catch (error) {
      fault(error);
    }
  }
}

/**
 * Show an error as a sentence.
 *
 * @param {unknown} error The error.
 */
export function fault(error) {
  notify(error instanceof Error ? error.message : String(error), { kind: "fault" });
}
