/** Questions in a dialog. */
import { h } from "./dom.js";

/**
 * @typedef {{name: string, label: string, value: string, type?: string, hint?: string, required?: boolean,
 *   choices?: Record<string, string>}} Question
 */

/**
 * Ask for some values.
 *
 * @param {string} title Title of the dialog; its button says it too.
 * @param {string} explanation What happens then.
 * @param {Question[]} questions The fields.
 * @returns {Promise<Record<string, string> | null>} Values by name; null: given up.
 */
export function ask(title, explanation, questions) {
  return new Promise((resolve) => {
    /** @type {Record<string, string> | null} */
    let given = null;
    const form = h(
      "form",
      { class: "form", method: "dialog", onsubmit: take },
      questions.map((question) => fieldOf(question)),
      h(
        "div",
        { class: "form-end" },
        h("button", { type: "button", class: "button plain", onclick: () => dialog.close() }, "Cancel"),
        h("button", { class: "button primary" }, title),
      ),
    );
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-label": title, onclose: leave },
      h("h2", {}, title),
      h("p", { class: "dialog-text" }, explanation),
      form,
    );
    document.body.append(dialog);
    dialog.showModal();

    /** @param {Event} event Submit of the form. */
    function take(event) {
      // The policy of the page forbids every submit, also one that only closes the dialog.
      event.preventDefault();
      given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
      dialog.close();
    }

    function leave() {
      dialog.remove();
      resolve(given);
    }
  });
}

/**
 * Create a labelled field.
 *
 * @param {Question} question The question.
 */
export function fieldOf({ name, label, value, type = "text", hint, required = false, choices }) {
  const id = `ask-${name}`;
  const field = choices
    ? h(
        "select",
        { id, name, class: "field" },
        Object.entries(choices).map(([choice, text]) => h("option", { value: choice, selected: choice === value }, text)),
      )
    : h("input", { id, name, class: "field", type, value, required, placeholder: hint, autocomplete: "off" });
  return h("div", { class: "labelled stacked" }, h("label", { for: id }, label), field);
}
