/** Light and dark: the system's choice, or that of the switch. */

const CHOICE = "ember.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Event target that says `change` when the colours have changed. */
export const theme = new EventTarget();

/** Return whether the page is dark now. */
export function isDark() {
  const choice = localStorage.getItem(CHOICE);
  return choice ? choice === "dark" : system.matches;
}

/** Apply the choice of the last visit, and follow the system where there is none. */
export function startTheme() {
  apply();
  system.addEventListener("change", apply);
}

/** Change from light to dark or back; the system's own choice is not kept. */
export function switchTheme() {
  const wanted = isDark() ? "light" : "dark";
  if ((wanted === "dark") === system.matches) localStorage.removeItem(CHOICE);
  else localStorage.setItem(CHOICE, wanted);
  apply();
}

/**
 * Return a colour of the theme.
 *
 * @param {string} name Name of its property, without the dashes.
 */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function apply() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  theme.dispatchEvent(new Event("change"));
}
