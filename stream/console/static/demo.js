/** In `ember demo`: buttons that put faults into the fleet, and one that kills the worker. */
import { get, send } from "./api.js";
import { h, icon, show } from "./dom.js";
import { fault } from "./notices.js";
import { button } from "./parts.js";
import { keyAddress } from "./router.js";
import { state } from "./state.js";
import { numberText, plural } from "./words.js";

/** Show the buttons where the status says that this is the demo. */
export async function startDemo() {
  if (!state.status?.demo) return;
  let offers;
  try {
    offers = await get("/demo");
  } catch (error) {
    fault(error);
    return;
  }
  const told = h("div", { class: "demo-told", role: "status" });
  const why = state.locked;
  const guard = { class: "button small", disabled: Boolean(why), title: why || null };
  const killer = button("Kill the worker", kill, { ...guard, class: "button small danger" });
  // Above the page: over it, it would cover text.
  document.getElementById("page")?.before(
    h(
      "details",
      { class: "demo" },
      h("summary", {}, icon("fault"), "Demo: break something"),
      h(
        "div",
        { class: "demo-body" },
        h("p", {}, "Put a fault into a simulated machine, and watch the fleet, the feed and the key."),
        h("div", { class: "demo-buttons" }, offers.kinds.map((/** @type {string} */ kind) => button(kind.replaceAll("_", " "), () => inject(kind), guard))),
        h("p", {}, "Or kill the worker, in two seconds from now. Another one takes over, and its state is compared with that of an engine that was never killed."),
        h("div", { class: "demo-buttons" }, killer),
        told,
      ),
    ),
  );

  /** @param {string} kind Kind of the fault. */
  async function inject(kind) {
    try {
      const answer = await send("POST", "/api/demo/fault", { kind });
      show(told, `${answer.kind.replaceAll("_", " ")}${answer.channel ? ` in ${answer.channel}` : ""} for ${plural(answer.rows, "row")}. `, h("a", { href: keyAddress(answer.key) }, `Show ${answer.key}`));
    } catch (error) {
      fault(error);
    }
  }

  async function kill() {
    killer.disabled = true;
    show(told, h("span", { class: "spinner", "aria-hidden": "true" }), "The worker is killed. The next worker reads the state, and it is compared.");
    try {
      show(told, ...recovered(await send("POST", "/api/demo/kill", {})));
    } catch (error) {
      show(told);
      fault(error);
    } finally {
      killer.disabled = Boolean(why);
    }
  }
}

/** @param {any} answer What the new worker has recovered. */
function recovered(answer) {
  const verdict = { true: "The state is equal, bit by bit.", false: "The state differs." }[String(answer.equal)] ?? "Records that the comparison needs are gone.";
  return [
    h("p", {}, h("strong", {}, verdict), ` ${plural(answer.keys, "key")} after ${plural(answer.records, "record")}, back in ${numberText(answer.seconds)} s; ${plural(answer.replayed, "record")} replayed to compare.`),
    h("p", { class: "digest", title: answer.digest }, `recovered ${answer.digest.slice(0, 16)}…`),
    answer.expected && h("p", { class: "digest", title: answer.expected }, `expected ${answer.expected.slice(0, 16)}…`),
  ];
}
