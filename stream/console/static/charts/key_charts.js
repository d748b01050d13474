/** Charts of a key: evidence, severity, what each channel contributes, and each channel's band. */
import { colour } from "../theme.js";
import { h, show } from "../dom.js";
import { Chart } from "./chart.js";
import { ramp } from "./colours.js";

/** Charts of one key that share span, cursor and pinned time. */
export class KeyCharts {
  /** @type {any} */
  series = null;
  /** @type {Chart[]} */
  charts = [];
  /** @type {string[]} */
  #channels = [];

  /**
   * @param {import("./time_window.js").TimeWindow} span Span of time.
   * @param {{hover: (place: number | null) => void, pin: (us: number) => void}} listeners
   *   Functions that get the place under the cursor, and the time of a click.
   */
  constructor(span, listeners) {
    this.span = span;
    this.listeners = listeners;
    this.root = h("div", { class: "charts" });
    this.sizes = new ResizeObserver(() => this.charts.forEach((chart) => chart.resize()));
    this.sizes.observe(this.root);
    span.addEventListener("change", () => this.charts.forEach((chart) => chart.redraw()));
  }

  /**
   * Show other data.
   *
   * @param {any} series Series as the API gives it.
   */
  set(series) {
    this.series = series;
    const channels = Object.keys(series.channels);
    if (channels.join("\n") !== this.#channels.join("\n") || !this.charts.length) this.#make(channels);
    const time = series.time_us.map((/** @type {number} */ us) => us / 1e6);
    const [evidence, severity, blame, ...values] = this.charts;
    evidence.setData([time, series.evidence, series.threshold]);
    severity.setData([time, series.severity]);
    blame.setData([time, series.severity.map(() => null)]);
    values.forEach((chart, place) => {
      const one = series.channels[this.#channels[place]];
      const isBinned = series.step_us > 0;
      const [least, most] = isBinned ? [one.value_min, one.value_max] : [one.value, one.value];
      chart.setData([time, one.lower, one.upper, least, most, one.usual, one.value]);
    });
  }

  /** @param {any[]} episodes Episodes to draw as spans. */
  setEpisodes(episodes) {
    for (const chart of this.charts) chart.episodes = episodes;
    this.charts.forEach((chart) => chart.redraw());
  }

  /** @param {number | null} us Time to mark. */
  pin(us) {
    for (const chart of this.charts) chart.pinnedUs = us;
    this.charts.forEach((chart) => chart.plot?.redraw(false));
  }

  /** Draw in the colours of the theme. */
  repaint() {
    const { series } = this;
    const { episodes = [], pinnedUs = null } = this.charts[0] ?? {};
    if (!series) return;
    this.charts.forEach((chart) => chart.build());
    this.set(series);
    this.setEpisodes(episodes);
    this.pin(pinnedUs);
  }

  /** Return titles and canvases, for a picture. */
  pictures() {
    return this.charts.filter((chart) => chart.plot).map((chart) => ({ title: chart.look.title, canvas: chart.plot.ctx.canvas }));
  }

  /** Free the charts. */
  close() {
    this.sizes.disconnect();
    this.charts.forEach((chart) => chart.close());
  }

  /** @param {string[]} channels Names of the channels. */
  #make(channels) {
    const episodes = this.charts[0]?.episodes ?? [];
    this.charts.forEach((chart) => chart.close());
    this.#channels = channels;
    /** @type {import("./chart.js").Look[]} */
    const looks = [
      {
        title: "Evidence and its threshold",
        height: 130,
        from0: true,
        lines: [
          { name: "evidence", stroke: "accent", fill: "accent-soft" },
          { name: "threshold", stroke: "firing", width: 1, dash: [5, 4] },
        ],
      },
      {
        title: "Severity of each row",
        height: 84,
        from0: true,
        min: 4,
        lines: [{ name: "severity", stroke: "severity", fill: "severity", width: 0, bars: true }],
      },
      {
        title: "Contribution of each channel",
        height: Math.max(60, 30 + 14 * channels.length),
        from0: true,
        lines: [{ name: "contribution", stroke: "muted", width: 0 }],
        paint: (plot) => this.#paintBlame(plot),
      },
      ...channels.map((name) => ({
        title: name,
        height: 116,
        lines: [
          { name: "lower", stroke: "", width: 0 },
          { name: "upper", stroke: "", width: 0 },
          { name: "smallest", stroke: "", width: 0 },
          { name: "largest", stroke: "", width: 0 },
          { name: "usual", stroke: "usual", width: 1 },
          { name: "value", stroke: "value", width: 1.5 },
        ],
        bands: /** @type {[number, number, string][]} */ ([[2, 1, "band"], [4, 3, "extent"]]),
      })),
    ];
    this.charts = looks.map((look) => new Chart(look, this.span, this.listeners));
    show(this.root, this.charts.map((chart) => chart.root));
    for (const chart of this.charts) {
      chart.episodes = episodes;
      chart.build();
    }
    this.charts[2].root.classList.add("chart-blame");
  }

  /**
   * Draw a line of cells for each channel: the darker, the more severe and the more its part.
   *
   * @param {any} plot The plot.
   */
  #paintBlame(plot) {
    const { series } = this;
    if (!series) return;
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    const height = bbox.height / Math.max(1, this.#channels.length);
    ctx.save();
    // The numbers of an axis that has none: names of the channels stand there instead.
    ctx.fillStyle = colour("panel");
    ctx.fillRect(0, bbox.top - 6 * ratio, bbox.left, bbox.height + 12 * ratio);
    ctx.fillRect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.font = `${10 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    this.#channels.forEach((name, line) => {
      ctx.fillStyle = colour("muted");
      ctx.fillText(cut(ctx, name, bbox.left - 8 * ratio), bbox.left - 6 * ratio, bbox.top + (line + 0.5) * height);
    });
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const times = series.time_us;
    // A cell reaches to the next row, but not over a gap.
    const lengths = times.slice(1).map((/** @type {number} */ us, /** @type {number} */ i) => us - times[i]).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
    const longest = 2 * (lengths[lengths.length >> 1] ?? 1e6);
    this.#channels.forEach((name, line) => {
      const shares = series.channels[name].contribution;
      for (let i = 0; i < times.length; i += 1) {
        const [severity, share] = [series.severity[i], shares[i]];
        if (!share || !severity || (severity - 1) * share < 0.1) continue;
        const x = plot.valToPos(times[i] / 1e6, "x", true);
        const next = plot.valToPos(Math.min(times[i + 1] ?? times[i] + longest / 2, times[i] + longest) / 1e6, "x", true);
        const [red, green, blue] = ramp(1 + (severity - 1) * Math.min(1, share * 1.2));
        ctx.fillStyle = `rgb(${red} ${green} ${blue})`;
        ctx.fillRect(x, bbox.top + line * height + ratio, Math.max(1, next - x), height - 2 * ratio);
      }
    });
    ctx.restore();
  }
}

/**
 * Cut a text to a width.
 *
 * @param {CanvasRenderingContext2D} context Context with its font.
 * @param {string} text The text.
 * @param {number} width The width.
 */
function cut(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = text;
  while (kept.length > 1 && context.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}
