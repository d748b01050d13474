/** Box that finds a key by a part of its name. */
import { get, isAbort } from "./api.js";
import { h, icon, show } from "./dom.js";
import { fault } from "./notices.js";
import { go, keyAddress } from "./router.js";

const MOST = 8;
const WAIT_MS = 120;

/** Create the box with its list. */
export function searchBox() {
  const list = h("ul", { id: "found", role: "listbox", class: "found", hidden: true, "aria-label": "Keys found" });
  const input = h("input", {
    id: "search",
    class: "field search-field",
    type: "search",
    role: "combobox",
    placeholder: "Find a key",
    "aria-label": "Find a key",
    "aria-expanded": "false",
    "aria-controls": "found",
    "aria-autocomplete": "list",
    autocomplete: "off",
    spellcheck: "false",
    oninput: ask,
    onkeydown: press,
    onblur: () => setTimeout(close, 150),
  });
  /** @type {string[]} */
  let keys = [];
  let chosen = 0;
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;

  function ask() {
    clearTimeout(timer);
    timer = setTimeout(find, WAIT_MS);
  }

  async function find() {
    running?.abort();
    const text = input.value.trim();
    if (!text) return close();
    running = new AbortController();
    const pattern = /[*?[]/.test(text) ? text : `*${text}*`;
    try {
      const answer = await get("/keys", { pattern, limit: MOST, sort: "severity" }, running.signal);
      keys = answer.keys.map((/** @type {any} */ row) => row.key);
      chosen = 0;
      draw(answer.total);
    } catch (error) {
      if (!isAbort(error)) fault(error);
    }
  }

  /** @param {number} total Keys that match. */
  function draw(total) {
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    const rows = keys.map((key, place) =>
      h(
        "li",
        {
          id: `found-${place}`,
          role: "option",
          class: "found-row",
          "aria-selected": String(place === chosen),
          onpointerdown: () => open(key),
        },
        key,
      ),
    );
    const rest = total - keys.length;
    const last = !total
      ? h("li", { class: "found-note", role: "option", "aria-disabled": "true" }, "No key has that in its name.")
      : rest > 0 && h("li", { class: "found-note", role: "option", "aria-disabled": "true" }, `and ${rest} more`);
    show(list, rows, last);
    if (keys.length) input.setAttribute("aria-activedescendant", `found-${chosen}`);
    else input.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event Key of the keyboard. */
  function press(event) {
    if (event.key === "Escape") {
      input.value = "";
      close();
      input.blur();
    } else if (event.key === "Enter" && keys.length && !list.hidden) {
      open(keys[chosen]);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && keys.length) {
      event.preventDefault();
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : keys.length - 1)) % keys.length;
      draw(keys.length);
    }
  }

  /** @param {string} key Key to open. */
  function open(key) {
    input.value = "";
    close();
    input.blur();
    go(keyAddress(key));
  }

  function close() {
    running?.abort();
    list.hidden = true;
    keys = [];
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  return h("div", { class: "search" }, icon("search"), input, list);
}
