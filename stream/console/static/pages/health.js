/** Health: the workers, the model in service, and the console itself. */
import { get, isAbort } from "../api.js";
import { h, show } from "../dom.js";
import { live } from "../live.js";
import { fault } from "../notices.js";
import { emptyState } from "../parts.js";
import { durationText } from "../times.js";
import { countText, numberText } from "../words.js";

const EVERY_MS = 3_000;

/** @type {[string, (worker: any) => any, string?][]} */
const COLUMNS = [
  ["Worker", (worker) => worker.address],
  ["Phase", (worker) => phase(worker)],
  ["Records a second", (worker) => sizeText(worker.records_per_second), "number"],
  ["Lag", (worker) => sizeText(worker.lag), "number"],
  ["Last checkpoint", (worker) => (isNumber(worker.checkpoint_age_seconds) ? `${durationText(worker.checkpoint_age_seconds * 1e6)} ago` : "–"), "number"],
  ["Partitions", (worker) => sizeText(Array.isArray(worker.partitions) ? worker.partitions.length : worker.partitions), "number"],
  ["Model", (worker) => short(worker.model)],
  ["Candidate", (worker) => short(worker.candidate)],
];

/** @type {Record<string, string>} */
const CONSOLE = {
  memory_mib: "Memory, MiB",
  bound_mib: "At most, MiB",
  rows: "Rows kept",
  taken: "Rows read",
  dropped: "Rows dropped",
  late: "Rows too late",
  lag: "Messages behind",
  reading: "State",
  trouble: "Trouble",
};

/** @type {import("../app.js").Open} */
export function open(view) {
  const workers = h("section", { class: "panel", "aria-label": "Workers" });
  const own = h("section", { class: "panel", "aria-label": "Console" });
  const model = h("section", { class: "panel", "aria-label": "Model" });
  const controller = new AbortController();
  let timer = 0;
  show(view, h("h1", { class: "sr-only" }, "Health"), h("div", { class: "health" }, workers, h("div", { class: "health-pair" }, model, own)));
  load();

  async function load() {
    try {
      const answer = await get("/health", {}, controller.signal);
      drawWorkers(answer.workers ?? []);
      show(model, h("h2", {}, "Model in service"), answer.model ? factsOf(answer.model) : h("p", { class: "quiet" }, "No event has named its model yet."));
      show(own, h("h2", {}, "This console"), factsOf({ ...answer.console, lag: answer.console.lag ?? "–" }, CONSOLE));
    } catch (error) {
      if (isAbort(error)) return;
      fault(error);
    }
    timer = setTimeout(() => (live.isPaused ? wait() : load()), EVERY_MS);
  }

  function wait() {
    timer = setTimeout(() => (live.isPaused ? wait() : load()), EVERY_MS);
  }

  /** @param {any[]} list The workers. */
  function drawWorkers(list) {
    if (!list.length) {
      show(workers, h("h2", {}, "Workers"), emptyState("No worker is known", "Name the addresses of their HTTP endpoints in console.workers, such as http://worker-0:6066."));
      return;
    }
    show(
      workers,
      h("h2", {}, `Workers: ${list.length}`),
      h(
        "div",
        { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Workers" },
        h(
          "table",
          { class: "wide" },
          h("thead", {}, h("tr", {}, COLUMNS.map(([name, , kind]) => h("th", { scope: "col", class: kind ?? null }, name)))),
          h("tbody", {}, list.map((worker) => h("tr", {}, COLUMNS.map(([, cell, kind]) => h("td", { class: kind ?? null }, cell(worker)))))),
        ),
      ),
    );
  }

  return {
    title: "Health",
    close() {
      controller.abort();
      clearTimeout(timer);
    },
  };
}

/** @param {any} worker A worker. */
function phase(worker) {
  if (worker.error) return h("span", { class: "status firing", title: worker.error }, "no answer");
  const isWell = worker.phase === "running";
  return h("span", { class: `status ${isWell ? "well" : "resolved"}` }, worker.phase ?? "unknown");
}

/**
 * @param {Record<string, any>} facts Facts by name.
 * @param {Record<string, string>} [names] Names in words.
 */
function factsOf(facts, names = {}) {
  return h(
    "dl",
    { class: "facts" },
    Object.entries(facts)
      .filter(([, value]) => value !== null && value !== "" && typeof value !== "object")
      .map(([name, value]) => h("div", {}, h("dt", {}, names[name] ?? name.replaceAll("_", " ")), h("dd", {}, typeof value === "number" ? numberText(value) : String(value)))),
  );
}

/** @param {unknown} text Long name, such as a digest. */
function short(text) {
  if (!text) return "–";
  const whole = String(text);
  return whole.length > 18 ? h("span", { title: whole }, `${whole.slice(0, 12)}…`) : whole;
}

/** @param {unknown} value A count. */
function sizeText(value) {
  return isNumber(value) ? countText(/** @type {number} */ (value)) : "–";
}

/** @param {unknown} value Value of a field that may be missing. */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
