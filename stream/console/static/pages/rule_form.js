/** A rule of an operator, made of the fields of a form. */

/**
 * Return the body of the rule that a form describes.
 *
 * @param {Record<string, string>} given Values of the fields `rule_keys`, `rule_channels`, `effect`
 *   and `amount`.
 * @returns {any} The body; null where the form has no rule.
 * @throws {Error} A sentence, where the numbers do not fit the effect.
 */
export function ruleOf({ rule_keys, rule_channels, effect, amount }) {
  if (!effect) return null;
  const body = { kind: "rule", keys: patterns(rule_keys), channels: patterns(rule_channels) };
  if (effect === "ignore") return { ...body, ignore: true };
  if (effect === "above" || effect === "below") return { ...body, direction: effect };
  const numbers = (amount.match(/-?\d+(?:\.\d+)?(?:e-?\d+)?/gi) ?? []).map(Number);
  if (effect === "usual_range") {
    if (numbers.length !== 2) throw new Error("A usual range needs two numbers, the lowest and the highest usual value, such as 10 to 80.");
    return { ...body, usual_range: [Math.min(...numbers), Math.max(...numbers)] };
  }
  if (numbers.length !== 1) throw new Error("This effect needs one number. Write it beside the effect.");
  const [number] = numbers;
  if (effect === "min_relative_deviation") return { ...body, min_relative_deviation: number / 100 };
  if (effect === "limit_above") return { ...body, limit: { above: number } };
  if (effect === "limit_below") return { ...body, limit: { below: number } };
  return { ...body, [effect]: number };
}

/** @param {string} text Patterns with commas or spaces between. */
function patterns(text) {
  const given = text.split(/[\s,]+/).filter(Boolean);
  return given.length ? given : ["*"];
}
