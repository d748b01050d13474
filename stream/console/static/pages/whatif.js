/** What if: another budget, a rule or other evidence, tried on what has been, by the real engine. */
import { isAbort, send } from "../api.js";
import { change } from "../actions.js";
import { h, show } from "../dom.js";
import { episodeAddress } from "../episodes.js";
import { fieldOf } from "../forms.js";
import { live } from "../live.js";
import { fault } from "../notices.js";
import { button, emptyState } from "../parts.js";
import { state } from "../state.js";
import { durationText, timeElement } from "../times.js";
import { countText, plural } from "../words.js";
import { ruleOf } from "./rule_form.js";

/** @type {import("../app.js").Open} */
export function open(view, { query }) {
  const verdict = h("div", { class: "whatif-answer" }, intro());
  const run = h("button", { class: "button primary" }, "Replay");
  const stop = button("Stop", cancel, { hidden: true });
  let step = "";
  const progress = h("div", { class: "progress", hidden: true, role: "status" });
  /** @type {AbortController | null} */
  let controller = null;
  let clock = 0;
  const form = h(
    "form",
    { class: "panel form whatif-form", onsubmit: submit },
    h("h2", {}, "What is replayed"),
    h(
      "div",
      { class: "form-row" },
      fieldOf({ name: "keys", label: "Keys: a pattern, or names", value: query.get("keys") ?? "*", required: true }),
      fieldOf({ name: "hours", label: "Time back", value: query.get("hours") ?? "24", choices: { 1: "1 hour", 6: "6 hours", 24: "a day", 72: "3 days", 168: "a week" } }),
    ),
    h("h2", {}, "What would be different"),
    h(
      "div",
      { class: "form-row" },
      fieldOf({ name: "budget", label: "Pages accepted per key", hint: "as now, or 2/week", value: query.get("budget") ?? "" }),
      fieldOf({ name: "evidence", label: "Rows that evidence lasts", hint: "as now, or 5", value: query.get("evidence") ?? "" }),
    ),
    h(
      "fieldset",
      { class: "rule" },
      h("legend", {}, "A rule to try"),
      h(
        "div",
        { class: "form-row" },
        fieldOf({ name: "rule_keys", label: "For keys", value: query.get("keys") ?? "*" }),
        fieldOf({ name: "rule_channels", label: "For channels", value: query.get("channels") ?? "*" }),
      ),
      h(
        "div",
        { class: "form-row" },
        fieldOf({
          name: "effect",
          label: "Effect",
          value: query.get("effect") ?? "",
          choices: {
            "": "no rule",
            ignore: "ignore these channels",
            above: "only values above usual count",
            below: "only values below usual count",
            min_deviation: "deviations smaller than … do not count",
            min_relative_deviation: "deviations smaller than … % do not count",
            usual_range: "values between … and … are usual",
            sensitivity: "accept … times as many pages",
            weight: "weigh these channels … times",
            limit_above: "fire above … whatever the model says",
            limit_below: "fire below … whatever the model says",
          },
        }),
        fieldOf({ name: "amount", label: "Number", hint: "two for a range: 10 to 80", value: query.get("amount") ?? "" }),
      ),
    ),
    h("div", { class: "form-end" }, progress, stop, run),
  );
  show(view, h("h1", { class: "sr-only" }, "What if"), h("div", { class: "whatif" }, form, verdict));

  /** @param {Event} event Submit of the form. */
  async function submit(event) {
    event.preventDefault();
    /** @type {Record<string, string>} */
    const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
    let rule;
    try {
      rule = ruleOf(given);
    } catch (error) {
      fault(error);
      return;
    }
    if (!rule && !given.budget && !given.evidence) {
      fault(new Error("Nothing would be different yet. Say which pages are accepted, how long evidence lasts, or choose the effect of a rule."));
      document.getElementById("ask-effect")?.focus();
      return;
    }
    controller = new AbortController();
    begin();
    try {
      const keys = given.keys.split(",").map((key) => key.trim()).filter(Boolean);
      const answer = await send(
        "POST",
        "/api/what-if",
        {
          ...(keys.length > 1 ? { keys } : { pattern: keys[0] ?? "*" }),
          hours: Number(given.hours),
          budget: given.budget || null,
          rules: rule ? [rule] : [],
          evidence: given.evidence ? Number(given.evidence) : null,
        },
        controller.signal,
      );
      show(verdict, answerOf(answer, rule));
      verdict.scrollIntoView({ block: "nearest" });
    } catch (error) {
      if (!isAbort(error)) fault(error);
    } finally {
      end();
    }
  }

  function begin() {
    const started = Date.now();
    run.disabled = true;
    stop.hidden = false;
    progress.hidden = false;
    step = "reading the records";
    const tick = () => show(progress, h("span", { class: "spinner", "aria-hidden": "true" }), `${step}, ${Math.round((Date.now() - started) / 1e3)} s`);
    tick();
    clock = setInterval(tick, 1e3);
  }

  /** @param {Event} event How far the replay is. */
  function onStep(event) {
    const { phase, share } = /** @type {CustomEvent} */ (event).detail;
    step = `${phase}: ${Math.round(100 * share)} %`;
  }

  async function cancel() {
    controller?.abort();
    try {
      await send("DELETE", "/api/what-if");
    } catch (error) {
      fault(error);
    }
  }

  function end() {
    clearInterval(clock);
    run.disabled = false;
    stop.hidden = true;
    progress.hidden = true;
  }

  live.addEventListener("replay", onStep);
  return {
    title: "What if",
    close() {
      if (progress.hidden === false) cancel();
      live.removeEventListener("replay", onStep);
      clearInterval(clock);
    },
  };
}

function intro() {
  return h(
    "div",
    { class: "panel" },
    emptyState(
      "Try a change before it pages somebody",
      "Choose keys and a change, and replay. The same engine reads the records again, once as now and once with the change, and shows which pages would have come and gone. Nothing is changed by it.",
    ),
  );
}

/**
 * @param {any} answer Answer of the replay.
 * @param {any} rule The rule that was tried; null for none.
 */
function answerOf(answer, rule) {
  const gone = new Set(answer.gone);
  const added = new Set(answer.new);
  const effect = answer.pages_after - answer.pages_before;
  const summary = effect === 0 && !gone.size && !added.size ? "Nothing would have been different." : `${plural(answer.pages_after, "page")} instead of ${countText(answer.pages_before)}: ${gone.size} gone, ${added.size} new.`;
  return h(
    "div",
    { class: "panel" },
    h("h2", { class: "whatif-summary" }, summary),
    h("p", { class: "quiet" }, `${plural(answer.keys, "key")}, ${plural(answer.rows, "row")}, replayed in ${Number(answer.seconds).toFixed(1)} s.`),
    h(
      "div",
      { class: "sides" },
      side("As it is", answer.before, gone, "gone", "would be gone"),
      side("With the change", answer.after, added, "new", "would be new"),
    ),
    rule && h("div", { class: "form-end" }, button("Apply this rule", () => apply(rule), { class: "button primary", disabled: Boolean(state.locked), title: state.locked || null })),
  );
}

/**
 * @param {string} title Title of the side.
 * @param {any[]} episodes Its episodes.
 * @param {Set<string>} marked Ids of those that the other side does not have.
 * @param {string} kind Class of these.
 * @param {string} words What they are.
 */
function side(title, episodes, marked, kind, words) {
  const ordered = [...episodes].sort((a, b) => b.starts_us - a.starts_us);
  return h(
    "section",
    { class: "side", "aria-label": title },
    h("h3", {}, `${title}: ${plural(episodes.length, "page")}`),
    h(
      "ol",
      { class: "side-list" },
      ordered.length
        ? ordered.map((episode) =>
            h(
              "li",
              { class: marked.has(episode.id) ? kind : "" },
              h(
                "a",
                { class: "side-row", href: episodeAddress(episode) },
                timeElement(episode.starts_us),
                h("span", { class: "key-name" }, episode.key),
                h("span", { class: "key-channel" }, episode.channels?.[0]?.name ?? ""),
                h("span", { class: "side-long" }, durationText((episode.ends_us ?? state.end()) - episode.starts_us)),
                marked.has(episode.id) && h("span", { class: "side-word" }, words),
              ),
            ),
          )
        : h("li", { class: "quiet" }, "No page."),
    ),
  );
}

/** @param {any} rule Body of the rule. */
function apply(rule) {
  return change("POST", "/api/control", { kind: "rule", reason: "tried in the console first", body: rule }, "The rule is in force with the next record.", () => {});
}
