/** Small parts that several pages have: fields, choices, rows of a list. */
import { h } from "./dom.js";
import { keyAddress } from "./router.js";
import { numberText, rarity } from "./words.js";

let fields = 0;

/**
 * Create a button.
 *
 * @param {any} content Text or nodes of it.
 * @param {(event: Event) => void} run What it does.
 * @param {Record<string, any>} [attributes] Further attributes.
 * @returns {HTMLButtonElement}
 */
export function button(content, run, attributes = {}) {
  return h("button", { type: "button", class: "button", onclick: run, ...attributes }, content);
}

/**
 * Create a field for text with its label.
 *
 * @param {string} label The label.
 * @param {string} hint Text of the empty field.
 * @param {string} value Its value.
 * @param {(text: string) => void} change Function that gets the text, a moment after typing.
 */
export function textField(label, hint, value, change) {
  const id = `field-${++fields}`;
  let timer = 0;
  const input = h("input", {
    id,
    class: "field",
    type: "search",
    placeholder: hint,
    value,
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => change(input.value.trim()), 250);
    },
  });
  return h("div", { class: "labelled" }, h("label", { for: id }, label), input);
}

/**
 * Create a choice with its label.
 *
 * @param {string} label The label.
 * @param {Record<string, string>} choices Text of each value.
 * @param {string} value The value that is chosen.
 * @param {(value: string) => void} change Function that gets the new value.
 */
export function choice(label, choices, value, change) {
  const id = `field-${++fields}`;
  const select = h(
    "select",
    { id, class: "field", onchange: () => change(select.value) },
    Object.entries(choices).map(([name, text]) => h("option", { value: name, selected: name === value }, text)),
  );
  return h("div", { class: "labelled" }, h("label", { for: id }, label), select);
}

/**
 * Create what stands where there is nothing to show.
 *
 * @param {string} title What is missing.
 * @param {string} advice What to do.
 * @param {...any} more Further nodes.
 */
export function emptyState(title, advice, ...more) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, advice), more);
}

/**
 * Create the row of a key in a list.
 *
 * @param {any} row Key as `/api/keys` gives it.
 * @param {number | null} cadence Seconds between two rows of a key.
 */
export function keyRow(row, cadence) {
  return h(
    "li",
    {},
    h(
      "a",
      { class: "key-row", href: keyAddress(row.key) },
      h("span", { class: `dot ${row.firing ? "firing" : ""}`, "aria-hidden": "true" }),
      h("span", { class: "key-name" }, row.key),
      h("span", { class: "key-channel" }, row.channel ?? ""),
      h("span", { class: "key-rarity" }, rarity(row.worst ?? row.severity, cadence)),
    ),
  );
}

/**
 * Create the channels of an event: value beside usual.
 *
 * @param {any[]} channels Channels, the largest share first.
 * @param {number} [most] How many are shown.
 */
export function channelChips(channels, most = 4) {
  const rest = channels.length - most;
  return h(
    "ul",
    { class: "chips", "aria-label": "Channels" },
    channels.slice(0, most).map((channel) => {
      const { name, share, value, expected, low, high } = channel;
      const band = isNumber(low) && isNumber(high) ? `, usually ${numberText(low)} to ${numberText(high)}` : "";
      return h(
        "li",
        { class: "chip", title: `${name}: ${share === null || share === undefined ? "" : `${Math.round(100 * share)} % of the deviation, `}value ${numberText(value)}, expected ${numberText(expected)}${band}` },
        h("span", { class: "chip-name" }, name),
        h("span", { class: "chip-value" }, numberText(value)),
        isNumber(expected) && h("span", { class: "chip-usual" }, `${band ? "usual" : "expected"} ${numberText(expected)}`),
      );
    }),
    rest > 0 && h("li", { class: "chip more" }, `and ${rest} more`),
  );
}

/** @param {unknown} value Value of a field that may be missing. */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
