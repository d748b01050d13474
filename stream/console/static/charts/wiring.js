/** The wiring as a drawing: layers from left to right, synapses by sign and weight. */
import { h, svg } from "../dom.js";
import { colour, isDark } from "../theme.js";

const LAYERS = ["sensory", "inter", "command", "motor"];
const GAP = 22;
const LABELLED = 40;

/** Drawing of a network; `light` shows activations. */
export class WiringPicture {
  /** Name of each neuron by its id. @type {Map<string, string>} */
  labels = new Map();
  /** @type {Map<string, {circle: SVGElement, halo: SVGElement}>} */
  #neurons = new Map();
  /** Ids of the neurons of each layer. @type {Set<string>[]} */
  #layers = [];
  /** @type {{line: SVGElement, from: string, weight: number}[]} */
  #synapses = [];
  /** @type {Record<string, number>} */
  #activations = {};

  /** @param {any} network Network as the API gives it. */
  constructor(network) {
    const layers = LAYERS.map((name) => network.layers.find((/** @type {any} */ layer) => layer.name === name)).filter((layer) => layer?.neurons.length);
    this.#layers = layers.map((layer) => new Set(layer.neurons.map((/** @type {any} */ neuron) => neuron.id)));
    const most = Math.max(...layers.map((layer) => layer.neurons.length));
    const [width, height] = [960, Math.max(320, Math.min(760, most * GAP)) + 50];
    /** @type {Map<string, [number, number]>} */
    const places = new Map();
    layers.forEach((layer, column) => {
      const x = 120 + (column * (width - 240)) / Math.max(1, layers.length - 1);
      layer.neurons.forEach((/** @type {any} */ neuron, /** @type {number} */ row) => {
        places.set(neuron.id, [x, 50 + ((row + 0.5) * (height - 60)) / layer.neurons.length]);
        this.labels.set(neuron.id, neuron.label ?? neuron.id);
      });
    });
    const heaviest = Math.max(1e-9, ...network.synapses.map((/** @type {any} */ synapse) => Math.abs(synapse.weight)));
    const lines = network.synapses.map((/** @type {any} */ synapse) => this.#synapse(synapse, places, heaviest));
    this.root = h(
      "div",
      { class: "wiring-scroll", tabindex: "0", role: "region", "aria-label": "Drawing of the network" },
      svg(
        "svg",
        { class: "wiring-picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Network of ${this.labels.size} neurons and ${network.synapses.length} synapses` },
        svg("g", { class: "synapses" }, lines),
        layers.map((layer) => this.#layer(layer, places)),
      ),
      h("p", { class: "legend" }, h("span", { class: "key-excites" }, "excites"), h("span", { class: "key-inhibits" }, "inhibits"), h("span", {}, "thicker: heavier"), h("span", {}, "brighter: more active")),
    );
    this.repaint();
  }

  /**
   * Show activations.
   *
   * @param {Record<string, number>} activations Value of each neuron by its id.
   */
  light(activations) {
    this.#activations = activations;
    this.repaint();
  }

  /** Draw in the colours of the theme. */
  repaint() {
    const isLit = Object.keys(this.#activations).length > 0;
    // Inputs are larger than neurons: each layer has a scale of its own.
    const share = (/** @type {string} */ id) => {
      const layer = this.#layers.find((ids) => ids.has(id)) ?? new Set([id]);
      const most = Math.max(1e-9, ...[...layer].map((one) => Math.abs(this.#activations[one] ?? 0)));
      return Math.abs(this.#activations[id] ?? 0) / most;
    };
    const shares = new Map([...this.#neurons.keys()].map((id) => [id, share(id)]));
    const [above, below, still] = [colour("excites"), colour("inhibits"), colour("panel")];
    for (const [id, { circle, halo }] of this.#neurons) {
      const value = this.#activations[id] ?? 0;
      const share = shares.get(id) ?? 0;
      circle.setAttribute("fill", isLit && share > 0.02 ? (value > 0 ? above : below) : still);
      circle.setAttribute("fill-opacity", String(isLit ? 0.15 + 0.85 * share : 1));
      halo.setAttribute("fill", value > 0 ? above : below);
      halo.setAttribute("fill-opacity", String(isLit ? 0.3 * share * share : 0));
    }
    const base = isDark() ? 0.32 : 0.36;
    for (const { line, from, weight } of this.#synapses) {
      const share = shares.get(from) ?? 0;
      line.setAttribute("stroke-opacity", String(isLit ? 0.1 + 0.9 * share * Math.sqrt(weight) : base * (0.3 + 0.7 * weight)));
    }
  }

  /**
   * @param {any} synapse Synapse as the API gives it.
   * @param {Map<string, [number, number]>} places Place of each neuron.
   * @param {number} heaviest Largest weight.
   */
  #synapse(synapse, places, heaviest) {
    const [from, to] = [places.get(synapse.from), places.get(synapse.to)];
    if (!from || !to) return null;
    const weight = Math.abs(synapse.weight) / heaviest;
    const middle = (from[0] + to[0]) / 2;
    const path =
      from[0] === to[0]
        ? `M${from[0] + 6} ${from[1]}C${from[0] + 46} ${from[1] - 14} ${to[0] + 46} ${to[1] + 14} ${to[0] + 6} ${to[1]}`
        : `M${from[0]} ${from[1]}C${middle} ${from[1]} ${middle} ${to[1]} ${to[0]} ${to[1]}`;
    const line = svg(
      "path",
      { d: path, class: synapse.sign > 0 ? "excites" : "inhibits", "stroke-width": (0.6 + 2.4 * weight).toFixed(2), fill: "none" },
      svg("title", {}, `${this.labels.get(synapse.from)} ${synapse.sign > 0 ? "excites" : "inhibits"} ${this.labels.get(synapse.to)}, weight ${Number(synapse.weight).toFixed(3)}`),
    );
    this.#synapses.push({ line, from: synapse.from, weight });
    return line;
  }

  /**
   * @param {any} layer Layer as the API gives it.
   * @param {Map<string, [number, number]>} places Place of each neuron.
   */
  #layer(layer, places) {
    const isLabelled = layer.neurons.length <= LABELLED && (layer.name === "sensory" || layer.name === "motor");
    const x = places.get(layer.neurons[0].id)?.[0] ?? 0;
    return svg(
      "g",
      { class: `layer ${layer.name}` },
      svg("text", { class: "layer-name", x, y: 24, "text-anchor": "middle" }, `${layer.name} (${layer.neurons.length})`),
      layer.neurons.map((/** @type {any} */ neuron) => {
        const [cx, cy] = places.get(neuron.id) ?? [0, 0];
        const halo = svg("circle", { cx, cy, r: 13, class: "halo" });
        const circle = svg("circle", { cx, cy, r: 6, class: "neuron" }, svg("title", {}, this.labels.get(neuron.id)));
        this.#neurons.set(neuron.id, { circle, halo });
        const isLeft = layer.name === "sensory";
        return [
          halo,
          circle,
          isLabelled && svg("text", { class: "neuron-name", x: cx + (isLeft ? -14 : 14), y: cy + 4, "text-anchor": isLeft ? "end" : "start" }, shortened(this.labels.get(neuron.id) ?? "")),
        ];
      }).flat(),
    );
  }
}

/** @param {string} text Name of a neuron. */
function shortened(text) {
  return text.length > 16 ? `${text.slice(0, 15)}…` : text;
}
