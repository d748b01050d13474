/** Network: the wiring from sensory to motor neurons, and what lights up for a key at a time. */
import { get, isAbort, keyPath } from "../api.js";
import { WiringPicture } from "../charts/wiring.js";
import { h, icon, show } from "../dom.js";
import { live } from "../live.js";
import { fault } from "../notices.js";
import { button, emptyState, textField } from "../parts.js";
import { keyAddress, setQuery } from "../router.js";
import { state } from "../state.js";
import { theme } from "../theme.js";
import { HOUR, MINUTE, isoText, timeElement, timeOf } from "../times.js";
import { numberText, plural } from "../words.js";

const STEPS = 120;
const PLAY_MS = 250;

/** @type {import("../app.js").Open} */
export function open(view, { query }) {
  let key = query.get("key") ?? "";
  const endUs = Math.max(timeOf(query.get("at")) ?? 0, state.end());
  const beginUs = endUs - HOUR;
  let atUs = timeOf(query.get("at")) ?? endUs;
  /** @type {WiringPicture | null} */
  let picture = null;
  /** @type {AbortController | null} */
  let asking = null;
  const controller = new AbortController();
  let timer = 0;
  const stage = h("div", { class: "panel wiring" });
  const facts = h("div", { class: "wiring-facts" });
  const clock = h("span", { class: "wiring-clock" });
  const slider = h("input", {
    type: "range",
    class: "slider",
    min: 0,
    max: STEPS,
    value: position(),
    "aria-label": "Time of the activations",
    oninput: () => {
      stopPlaying();
      moveTo(beginUs + (Number(slider.value) / STEPS) * (endUs - beginUs));
    },
  });
  const field = textField("Key", "exact name", key, chooseKey);
  const player = button([icon("play"), "Play"], toggle, { "aria-pressed": "false" });
  show(
    view,
    h("h1", { class: "sr-only" }, "Network"),
    h("div", { class: "bar" }, field, player, slider, clock),
    h("div", { class: "network" }, stage, h("aside", { class: "panel" }, facts)),
  );
  const onTheme = () => picture?.repaint();
  theme.addEventListener("change", onTheme);
  load();

  async function load() {
    try {
      const network = await get("/network", {}, controller.signal);
      if (!network.layers?.some((/** @type {any} */ layer) => layer.neurons.length)) {
        show(stage, emptyState("The model has no network to draw", "Say the path of the bundle to the command ember console, or the topic that has it."));
        return;
      }
      picture = new WiringPicture(network);
      show(stage, picture.root);
      show(facts, h("h2", {}, "Wiring"), h("p", {}, network.layers.map((/** @type {any} */ layer) => plural(layer.neurons.length, `${layer.name} neuron`)).join(", "), `, ${plural(network.synapses.length, "synapse")}.`));
      if (!key) key = (await get("/keys", { sort: "severity", limit: 1 }, controller.signal)).keys[0]?.key ?? "";
      field.querySelector("input").value = key;
      facts.append(h("p", { class: "quiet" }, h("span", { class: "spinner", "aria-hidden": "true" }), "The network reads the records of the key."));
      await light();
    } catch (error) {
      if (isAbort(error)) return;
      show(stage, emptyState("The network cannot be shown", error instanceof Error ? error.message : ""));
    }
  }

  /** @param {string} given Text of a key. */
  function chooseKey(given) {
    key = given;
    setQuery({ key });
    light();
  }

  /** @param {number} us Time to show. */
  function moveTo(us) {
    atUs = us;
    slider.value = position();
    light();
  }

  function position() {
    return String(Math.round((STEPS * (atUs - beginUs)) / Math.max(1, endUs - beginUs)));
  }

  async function light() {
    show(clock, timeElement(atUs));
    slider.setAttribute("aria-valuetext", clock.textContent ?? "");
    if (!picture || !key) return;
    asking?.abort();
    asking = new AbortController();
    try {
      const answer = await get(keyPath(key, "activations"), { time_us: Math.round(atUs) }, asking.signal);
      picture.light(answer.activations);
      show(
        facts,
        h("h2", {}, h("a", { href: keyAddress(key, { from: isoText(atUs - 30 * MINUTE), to: isoText(atUs + 10 * MINUTE), at: isoText(answer.time_us) }) }, key)),
        h("p", {}, "Row of ", timeElement(answer.time_us)),
        strongest(answer.activations, picture.labels),
        forecastOf(answer.forecast ?? {}),
      );
      setQuery({ key, at: isoText(Math.round(atUs / 1e6) * 1e6) });
    } catch (error) {
      if (isAbort(error)) return;
      stopPlaying();
      picture.light({});
      fault(error);
    }
  }

  function toggle() {
    if (timer) return stopPlaying();
    if (atUs >= endUs) atUs = beginUs;
    player.setAttribute("aria-pressed", "true");
    show(player, icon("pause"), "Stop");
    timer = setInterval(() => {
      if (live.isPaused) return;
      if (atUs >= endUs) return stopPlaying();
      moveTo(Math.min(endUs, atUs + (endUs - beginUs) / STEPS));
    }, PLAY_MS);
  }

  function stopPlaying() {
    clearInterval(timer);
    timer = 0;
    player.setAttribute("aria-pressed", "false");
    show(player, icon("play"), "Play");
  }

  return {
    title: "Network",
    shortcuts: [
      { keys: "ArrowLeft", does: "earlier", run: () => moveTo(Math.max(beginUs, atUs - (endUs - beginUs) / STEPS)) },
      { keys: "ArrowRight", does: "later", run: () => moveTo(Math.min(endUs, atUs + (endUs - beginUs) / STEPS)) },
      { keys: "Space", does: "play or stop (on the button)" },
    ],
    close() {
      controller.abort();
      asking?.abort();
      clearInterval(timer);
      theme.removeEventListener("change", onTheme);
    },
  };
}

/**
 * @param {Record<string, number>} activations Value of each neuron.
 * @param {Map<string, string>} labels Name of each neuron.
 */
function strongest(activations, labels) {
  const rows = Object.entries(activations)
    .sort(([, a], [, b]) => Math.abs(b) - Math.abs(a))
    .slice(0, 8);
  return h(
    "table",
    {},
    h("caption", {}, "Most active neurons"),
    h("tbody", {}, rows.map(([id, value]) => h("tr", {}, h("th", { scope: "row" }, labels.get(id) ?? id), h("td", {}, numberText(value))))),
  );
}

/** @param {Record<string, number>} forecast Forecast of each channel. */
function forecastOf(forecast) {
  const rows = Object.entries(forecast);
  if (!rows.length) return null;
  return h(
    "table",
    {},
    h("caption", {}, "Forecast of the next row"),
    h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, numberText(value))))),
  );
}
