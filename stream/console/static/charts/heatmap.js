/**
 * Heat map of thousands of keys by time, on a canvas.
 *
 * A scroll draws the visible rows only: one small image, scaled up. So a frame costs the same for
 * ten keys and for ten thousand.
 */
import { h } from "../dom.js";
import { keyAddress } from "../router.js";
import { colour, theme } from "../theme.js";
import { LEARNS, rarity } from "../words.js";
import { palette } from "./colours.js";
import { AXIS, paintAxis, paintCells, paintMarks } from "./heat_paint.js";
import { showTip } from "./heat_tip.js";

/** Height of a row in pixels; 0 makes the whole fleet fit into the window. */
export const DENSITIES = { names: 22, dense: 6, all: 0 };

export class Heatmap {
  /** @type {import("./heat_rows.js").HeatRows | null} */
  rows = null;
  /** @type {keyof typeof DENSITIES} */
  density = "names";
  /** Seconds between two rows of a key, where they are known. @type {number | null} */
  cadence = null;
  /** Number of the row that keyboard or pointer has chosen; -1: none. */
  chosen = -1;
  #column = -1;
  #pending = 0;
  #palette = palette();
  /** @type {{lines: number, cells: Uint8Array, firing: Uint8Array} | null} */
  #shrunk = null;
  /** @type {HTMLAnchorElement[]} */
  #labels = [];

  /** @param {(key: string) => void} open Function that opens a key. */
  constructor(open) {
    this.open = open;
    this.canvas = h("canvas", { class: "heat-canvas", "aria-hidden": "true" });
    this.names = h("div", { class: "heat-names" });
    this.spacer = h("div", { class: "heat-spacer" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.spoken = h("div", { class: "sr-only", "aria-live": "polite" });
    this.scroller = h(
      "div",
      {
        class: "heat",
        tabindex: "0",
        role: "region",
        "aria-label": "Heat map of the fleet: arrow keys choose a key, Enter opens it",
        onscroll: () => this.draw(),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#press(event),
        onpointermove: (/** @type {PointerEvent} */ event) => this.#hover(event),
        onpointerleave: () => this.#leave(),
        onclick: (/** @type {MouseEvent} */ event) => this.#click(event),
      },
      h("div", { class: "heat-view" }, this.canvas, this.names),
      this.spacer,
    );
    this.root = h("div", { class: "heat-root" }, this.scroller, this.tip, this.spoken);
    this.sizes = new ResizeObserver(() => this.#resize());
    this.sizes.observe(this.scroller);
    this.onTheme = () => {
      this.#palette = palette();
      this.draw();
    };
    theme.addEventListener("change", this.onTheme);
  }

  /** Stop to follow the window and the theme. */
  close() {
    this.sizes.disconnect();
    theme.removeEventListener("change", this.onTheme);
    cancelAnimationFrame(this.#pending);
  }

  /** @param {import("./heat_rows.js").HeatRows} rows Rows to show; the place of the scroll stays. */
  set(rows) {
    const key = this.rows?.keys[this.chosen];
    this.rows = rows;
    this.chosen = key === undefined ? -1 : rows.keys.indexOf(key);
    this.#shrunk = null;
    this.#resize();
  }

  /** @param {keyof typeof DENSITIES} density New height of the rows. */
  setDensity(density) {
    this.density = density;
    this.#shrunk = null;
    this.#resize();
  }

  /** Draw with the next frame. */
  draw() {
    cancelAnimationFrame(this.#pending);
    this.#pending = requestAnimationFrame(() => this.#paint());
  }

  get #rowHeight() {
    const fixed = DENSITIES[this.density];
    if (fixed) return fixed;
    return Math.max(this.#height / Math.max(1, this.rows?.length ?? 1), 1 / devicePixelRatio);
  }

  get #height() {
    return Math.max(1, this.scroller.clientHeight - AXIS);
  }

  get #left() {
    if (this.density !== "names") return 10;
    return this.scroller.clientWidth < 600 ? 112 : 200;
  }

  /** @param {number} width Width of the canvas. */
  #box(width) {
    return { left: this.#left, width: width - this.#left };
  }

  get #fits() {
    return DENSITIES[this.density] === 0;
  }

  #resize() {
    const count = this.rows?.length ?? 0;
    const height = this.#fits ? this.#height : count * this.#rowHeight;
    this.spacer.style.height = `${Math.max(0, height + AXIS - this.scroller.clientHeight)}px`;
    this.#shrunk = null;
    this.draw();
  }

  #paint() {
    const { rows, canvas } = this;
    const ratio = devicePixelRatio;
    const [width, full] = [this.scroller.clientWidth, this.scroller.clientHeight];
    if (!rows || !width || !full) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(full * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(full * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${full}px`;
    }
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, full);
    context.imageSmoothingEnabled = false;
    if (rows.length) {
      if (this.#fits) this.#paintAll(context, width);
      else this.#paintRows(context, width);
    }
    paintAxis(context, rows, { ...this.#box(width), top: 0, height: full }, this.#column);
  }

  /**
   * @param {CanvasRenderingContext2D} context Context of the canvas.
   * @param {number} width Its width.
   */
  #paintAll(context, width) {
    const rows = /** @type {import("./heat_rows.js").HeatRows} */ (this.rows);
    const lines = Math.min(rows.length, Math.floor(this.#height * devicePixelRatio));
    if (this.#shrunk?.lines !== lines) this.#shrunk = { lines, ...rows.shrunk(lines) };
    const { cells, firing } = this.#shrunk;
    paintCells(context, { cells, columns: rows.columns, lines, palette: this.#palette, ...this.#box(width), top: AXIS, height: this.#height });
    paintMarks(context, firing, lines, this.#left - 8, AXIS, this.#height / lines);
    this.#place(-1, 0, 0);
    if (this.chosen >= 0) {
      const y = AXIS + ((this.chosen + 0.5) / rows.length) * this.#height;
      context.fillStyle = colour("text");
      context.fillRect(this.#left, y - 0.5, width - this.#left, 1);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context Context of the canvas.
   * @param {number} width Its width.
   */
  #paintRows(context, width) {
    const rows = /** @type {import("./heat_rows.js").HeatRows} */ (this.rows);
    const height = this.#rowHeight;
    const first = Math.min(rows.length - 1, Math.floor(this.scroller.scrollTop / height));
    const count = Math.min(rows.length - first, Math.ceil(this.#height / height) + 1);
    const top = AXIS + first * height - this.scroller.scrollTop;
    const part = rows.cells.subarray(first * rows.columns, (first + count) * rows.columns);
    paintCells(context, { cells: part, columns: rows.columns, lines: count, palette: this.#palette, ...this.#box(width), top, height: count * height });
    paintMarks(context, rows.firing.slice(first, first + count), count, this.#left - 8, top, height);
    if (height > 8) {
      context.fillStyle = colour("panel");
      for (let row = 0; row <= count; row += 1) {
        context.fillRect(this.#left, top + row * height - 1, width, 2);
      }
    }
    if (this.chosen >= first && this.chosen < first + count) {
      context.strokeStyle = colour("text");
      context.lineWidth = 1;
      const y = top + (this.chosen - first) * height;
      context.strokeRect(this.#left + 0.5, y + 0.5, width - this.#left - 1, height - 1);
    }
    this.#place(height > 8 ? first : -1, count, top);
  }

  /**
   * Place the links with the names of the visible keys.
   *
   * @param {number} first Number of the first key; -1: show none.
   * @param {number} count How many are visible.
   * @param {number} top Place of the first.
   */
  #place(first, count, top) {
    const rows = /** @type {import("./heat_rows.js").HeatRows} */ (this.rows);
    const wanted = first < 0 ? 0 : count;
    while (this.#labels.length < wanted) {
      const label = h("a", { class: "heat-name", tabindex: "-1" });
      this.#labels.push(label);
      this.names.append(label);
    }
    this.names.style.width = `${this.#left - 12}px`;
    this.#labels.forEach((label, place) => {
      label.hidden = place >= wanted;
      if (label.hidden) return;
      const key = rows.keys[first + place];
      if (label.textContent !== key) {
        label.textContent = key;
        label.title = key;
        label.href = keyAddress(key);
      }
      label.classList.toggle("is-firing", Boolean(rows.firing[first + place]));
      label.style.transform = `translateY(${top + place * this.#rowHeight}px)`;
    });
  }

  /**
   * Return the row and column under the pointer; null where there is none.
   *
   * @param {MouseEvent} event Event of the pointer.
   */
  #under(event) {
    const { rows } = this;
    const box = this.scroller.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top - AXIS];
    if (!rows?.length || y < 0 || x > this.scroller.clientWidth) return null;
    const share = (x - this.#left) / (this.scroller.clientWidth - this.#left);
    const column = Math.max(0, Math.min(rows.columns - 1, Math.floor(share * rows.columns)));
    let row = Math.floor((y + this.scroller.scrollTop) / this.#rowHeight);
    if (this.#fits) {
      const lines = this.#shrunk?.lines ?? 1;
      row = rows.worst(Math.min(lines - 1, Math.floor((y / this.#height) * lines)), lines, column);
    }
    return row < rows.length ? { row, column, x, y: y + AXIS } : null;
  }

  /** @param {PointerEvent} event Move of the pointer. */
  #hover(event) {
    const place = this.#under(event);
    if (!place || event.pointerType === "touch") return this.#leave();
    [this.chosen, this.#column] = [place.row, place.column];
    showTip(this.tip, /** @type {any} */ (this.rows), place, this.cadence, this.scroller.clientWidth);
    this.draw();
  }

  #leave() {
    this.tip.hidden = true;
    this.#column = -1;
    this.draw();
  }

  /** @param {MouseEvent} event A click. */
  #click(event) {
    if (event.target instanceof HTMLAnchorElement) return;
    const place = this.#under(event);
    if (place && this.rows) this.open(this.rows.keys[place.row]);
  }

  /** @param {KeyboardEvent} event Key of the keyboard. */
  #press(event) {
    const { rows } = this;
    if (!rows?.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#height / this.#rowHeight) - 1);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length };
    if (event.key === "Enter" && this.chosen >= 0) {
      event.preventDefault();
      this.open(rows.keys[this.chosen]);
    } else if (event.key in steps) {
      event.preventDefault();
      event.stopPropagation();
      this.choose(this.chosen + steps[event.key]);
    }
  }

  /** @param {number} row Row to choose, and to bring into sight. */
  choose(row) {
    const { rows } = this;
    if (!rows) return;
    this.chosen = Math.max(0, Math.min(rows.length - 1, row));
    const [top, height] = [this.chosen * this.#rowHeight, this.#rowHeight];
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    if (top + height > this.scroller.scrollTop + this.#height) {
      this.scroller.scrollTop = top + height - this.#height;
    }
    const firing = rows.firing[this.chosen] ? ", fires now" : "";
    const last = rows.columns - 1;
    const severity = rows.learns(this.chosen, last) ? LEARNS : rarity(rows.severity(this.chosen, last), this.cadence);
    this.spoken.textContent = `${rows.keys[this.chosen]}: ${severity}${firing}`;
    this.draw();
  }
}
