/** One chart of a key: uPlot with bands, spans of episodes, and the page's span of time. */
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { h } from "../dom.js";
import { state } from "../state.js";
import { colour } from "../theme.js";
import { tickText } from "../times.js";
import { numberText } from "../words.js";
import { followGestures } from "./gestures.js";

/**
 * @typedef {{name: string, stroke: string, width?: number, dash?: number[], bars?: boolean,
 *   fill?: string, scale?: string}} Line
 * @typedef {{title: string, unit?: string, height: number, lines: Line[], bands?: [number, number,
 *   string][], from0?: boolean, paint?: (plot: any) => void, min?: number}} Look
 */

/** The library brings no types. @type {any} */
const Plot = uPlot;
const SYNC = Plot.sync("key");
const AXIS_WIDTH = 58;

/** Chart in a figure of its own. Colours are names of the theme. */
export class Chart {
  /** @type {any} */
  plot = null;
  /** Episodes, drawn as spans. @type {{starts_us: number, ends_us: number | null}[]} */
  episodes = [];
  /** Time that a click has pinned. @type {number | null} */
  pinnedUs = null;
  #data = /** @type {any[]} */ ([[]]);

  /**
   * @param {Look} look Lines and bands.
   * @param {import("./time_window.js").TimeWindow} span Span of time.
   * @param {{hover: (place: number | null) => void, pin: (us: number) => void}} listeners
   *   Functions that get the place in the data under the cursor, and the time of a click.
   */
  constructor(look, span, listeners) {
    this.look = look;
    this.span = span;
    this.listeners = listeners;
    this.place = h("div", { class: "chart-place" });
    this.note = h("span", { class: "chart-note" });
    this.root = h(
      "figure",
      { class: "chart" },
      h("figcaption", { class: "chart-title" }, h("span", { class: "chart-name" }, look.title), this.note),
      this.place,
    );
  }

  /** Create the plot; called once the figure is on the page, and again for other colours. */
  build() {
    this.plot?.destroy();
    const { look, span } = this;
    const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
    this.plot = new Plot(
      {
        width: Math.max(120, this.place.clientWidth),
        height: look.height,
        legend: { show: false },
        padding: [6, 2, 0, 0],
        scales: {
          x: { time: true, auto: false, range: () => /** @type {[number, number]} */ ([span.beginUs / 1e6, span.endUs / 1e6]) },
          y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => this.#range(low, high) },
        },
        cursor: {
          sync: { key: SYNC.key, setSeries: false },
          drag: { x: false, y: false },
          points: { size: 6 },
          y: false,
        },
        series: [{}, ...look.lines.map((line) => this.#line(line))],
        bands: (look.bands ?? []).map(([upper, lower, fill]) => ({ series: [upper, lower], fill: colour(fill) })),
        axes: [
          { ...axis, size: 24, space: 90, values: (/** @type {any} */ _u, /** @type {number[]} */ splits, /** @type {any} */ _a, /** @type {any} */ _s, /** @type {number} */ step) => splits.map((at) => tickText(at, step)) },
          { ...axis, size: AXIS_WIDTH, space: 28, values: (/** @type {any} */ _u, /** @type {number[]} */ splits) => splits.map(numberText) },
        ],
        hooks: {
          drawClear: [(/** @type {any} */ plot) => this.#spans(plot)],
          draw: [(/** @type {any} */ plot) => this.#over(plot)],
          setCursor: [(/** @type {any} */ plot) => this.listeners.hover(plot.cursor.idx ?? null)],
        },
      },
      this.#data,
      this.place,
    );
    followGestures(this.plot.over, span, (share) => {
      if (share !== null) this.listeners.pin(span.beginUs + share * span.lengthUs);
    });
  }

  /** @param {any[]} columns Times in seconds, then the values of each line. */
  setData(columns) {
    this.#data = columns;
    this.plot?.setData(columns);
    this.redraw();
  }

  /** Show the span of time again. */
  redraw() {
    if (!this.plot) return;
    this.plot.setScale("x", { min: this.span.beginUs / 1e6, max: this.span.endUs / 1e6 });
  }

  /** Take the width of the page. */
  resize() {
    const width = Math.max(120, this.place.clientWidth);
    if (this.plot && width !== this.plot.width) this.plot.setSize({ width, height: this.look.height });
  }

  /** Free the plot. */
  close() {
    this.plot?.destroy();
    this.plot = null;
  }

  /** @param {Line} line Look of a line. */
  #line(line) {
    return {
      stroke: line.stroke ? colour(line.stroke) : undefined,
      width: line.width ?? 1.5,
      dash: line.dash,
      fill: line.fill ? colour(line.fill) : undefined,
      paths: line.bars ? Plot.paths.bars({ size: [0.9, 60, 1], align: 0 }) : undefined,
      points: { show: line.width === 0 ? false : undefined, size: 4 },
    };
  }

  /**
   * @param {number | null} low Smallest value of all lines.
   * @param {number | null} high Largest one.
   * @returns {[number, number]}
   */
  #range(low, high) {
    if (low === null || high === null || !isFinite(low) || !isFinite(high)) return [0, 1];
    if (this.look.from0) return [0, Math.max(high * 1.08, this.look.min ?? 1)];
    const room = high - low || Math.abs(high) * 0.1 || 1;
    return [low - 0.08 * room, high + 0.08 * room];
  }

  /** @param {any} plot The plot. */
  #spans(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const { starts_us, ends_us } of this.episodes) {
      const begin = plot.valToPos(starts_us / 1e6, "x", true);
      const end = plot.valToPos((ends_us ?? Math.max(state.end(), starts_us)) / 1e6, "x", true);
      ctx.fillStyle = colour("episode");
      ctx.fillRect(begin, bbox.top, Math.max(2, end - begin), bbox.height);
      ctx.fillStyle = colour("firing");
      ctx.fillRect(begin, bbox.top, Math.max(2, end - begin), 2 * devicePixelRatio);
    }
    ctx.restore();
  }

  /** @param {any} plot The plot. */
  #over(plot) {
    this.look.paint?.(plot);
    if (this.pinnedUs === null) return;
    const { ctx, bbox } = plot;
    const x = plot.valToPos(this.pinnedUs / 1e6, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.save();
    ctx.fillStyle = colour("accent");
    ctx.fillRect(Math.round(x), bbox.top, devicePixelRatio, bbox.height);
    ctx.restore();
  }
}
