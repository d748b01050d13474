/**
 * Elements of the page. Names of keys and channels are foreign input: text becomes a text node,
 * never markup, and the policy of the page forbids `style` attributes.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an element.
 *
 * @param {string} tag Name of the element.
 * @param {Record<string, any>} [attributes] Attributes; functions become listeners (`onclick`),
 *   `true` an empty attribute, and `false`, `null` and `undefined` none.
 * @param {...(Child | Child[])} children Nodes and texts inside of it.
 * @returns {any} The element.
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Create an element of a drawing.
 *
 * @param {string} tag Name of the element.
 * @param {Record<string, any>} [attributes] Attributes, as for `h`.
 * @param {...(Child | Child[])} children Nodes and texts inside of it.
 * @returns {any} The element.
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Replace the content of an element.
 *
 * @param {Element} element The element.
 * @param {...(Child | Child[])} children Its new content.
 */
export function show(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Create an icon of 16 pixels from the path of its lines.
 *
 * @param {keyof typeof ICONS} name Name of the icon.
 * @returns {SVGElement} The icon, hidden from screen readers.
 */
export function icon(name) {
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }),
  );
}

const ICONS = {
  fleet: "M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z",
  feed: "M8 2a4 4 0 0 0-4 4v3l-1.500 2.500h11L12 9V6a4 4 0 0 0-4-4zM6.500 14h3",
  whatif: "M3 3h4M5 3v6a3 3 0 0 0 3 3h5M11 10l2.500 2-2.500 2M9 3h4M11 1l2.500 2L11 5",
  network: "M3 4h.01M3 12h.01M8 8h.01M13 5h.01M13 11h.01M3 4l5 4 5-3M3 12l5-4 5 3",
  health: "M1.500 8h3l2-5 3 10 2-5h3",
  search: "M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM10.500 10.500 14 14",
  theme: "M8 2a6 6 0 1 0 6 6 4.500 4.500 0 0 1-6-6z",
  help: "M6 6a2 2 0 1 1 2.800 1.800c-.5.3-.8.7-.8 1.400M8 12h.01M8 1.500a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13z",
  pause: "M5.500 3v10M10.500 3v10",
  play: "M4.500 2.500v11l9-5.500z",
  link: "M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.500 4.500L11.500 9M9 11.500 7.500 13A3 3 0 0 1 3 8.500L4.500 7",
  picture: "M2 3h12v10H2zM2 11l4-4 3 3 2-2 3 3M10.500 6h.01",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fault: "M9 1.500 3 9h4l-1 5.500L13 7H8.500z",
};

/**
 * @param {Element} element Element to fill.
 * @param {Record<string, any>} attributes Its attributes.
 * @param {(Child | Child[])[]} children Its content.
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value" && "value" in element) /** @type {any} */ (element).value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element Element to append to.
 * @param {(Child | Child[])[]} children New content.
 */
function append(element, children) {
  for (const child of children.flat()) {
    if (child === false || child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}
