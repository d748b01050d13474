/** In `ember demo`: buttons that put faults into the fleet, and one that kills the worker. */
import { get, send } from "./api.js";
import { h, icon, show } from "./dom.js";
import { fault, notify } from "./notices.js";
import { button } from "./parts.js";
import { keyAddress } from "./router.js";
import { state } from "./state.js";

const ASK_MS = 1_000;

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
  const body = h(
    "details",
    { class: "demo", open: innerWidth > 900 },
    h("summary", {}, icon("fault"), "Demo: break something"),
    h(
      "div",
      { class: "demo-body" },
      h("p", {}, "Put a fault into a simulated host, and watch the fleet, the feed and the key."),
      h("div", { class: "demo-buttons" }, offers.faults.map((/** @type {any} */ one) => button(one.label ?? one.name, () => inject(one.name), guard))),
      h("p", {}, "Or kill the worker without a word. Another one takes its state over."),
      h("div", { class: "demo-buttons" }, button("Kill the worker", kill, { ...guard, class: "button small danger" })),
      told,
    ),
  );
  document.body.append(body);
  if (offers.recovery) drawRecovery(offers.recovery);

  /** @param {string} name Name of a fault. */
  async function inject(name) {
    try {
      const answer = await send("POST", "/api/demo/fault", { name });
      show(told, answer.sentence, " ", answer.key && h("a", { href: keyAddress(answer.key) }, `Show ${answer.key}`));
    } catch (error) {
      fault(error);
    }
  }

  async function kill() {
    try {
      const answer = await send("POST", "/api/demo/kill", {});
      show(told, answer.sentence);
      setTimeout(watch, ASK_MS);
    } catch (error) {
      fault(error);
    }
  }

  async function watch() {
    try {
      const { recovery } = await get("/demo");
      if (recovery) drawRecovery(recovery);
      if (!recovery || recovery.phase === "recovered") return;
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), { kind: "fault" });
    }
    setTimeout(watch, ASK_MS);
  }

  /** @param {any} recovery How far the new worker is. */
  function drawRecovery(recovery) {
    if (recovery.phase !== "recovered") {
      show(told, "The worker is gone. The next one reads its state.");
      return;
    }
    show(
      told,
      h("p", {}, recovery.equal ? "The recovered state is equal, bit by bit." : "The recovered state differs."),
      h("p", { class: "digest", title: recovery.digest_before }, `before ${short(recovery.digest_before)}`),
      h("p", { class: "digest", title: recovery.digest_after }, `after ${short(recovery.digest_after)}`),
    );
  }
}

/** @param {string | null} digest A digest. */
function short(digest) {
  return digest ? `${digest.slice(0, 16)}…` : "–";
}
