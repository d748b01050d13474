/** Deep links: path and query of the address, kept by the history of the browser. */

/** @typedef {{name: string, key: string | null, query: URLSearchParams}} Route */

/** @type {Record<string, string>} */
const PATHS = {
  "/": "fleet",
  "/incidents": "feed",
  "/what-if": "whatif",
  "/network": "network",
  "/health": "health",
};

/** @type {(route: Route) => void} */
let onRoute = () => {};

/**
 * Call a function with each route, the present one first.
 *
 * @param {(route: Route) => void} open The function.
 */
export function startRouter(open) {
  onRoute = open;
  addEventListener("popstate", () => open(currentRoute()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
    if (event.shiftKey || event.altKey || !(event.target instanceof Element)) return;
    const link = event.target.closest("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || !isPage(link.pathname) || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
  open(currentRoute());
}

/** @param {string} address Path with its query. */
export function go(address) {
  if (address !== location.pathname + location.search) history.pushState(null, "", address);
  scrollTo(0, 0);
  onRoute(currentRoute());
}

/**
 * Change parameters of the address and open no page.
 *
 * @param {Record<string, string | null>} changes New values; null and empty ones are removed.
 */
export function setQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
}

/**
 * Return the address of a key's page.
 *
 * @param {string} key Text of the key.
 * @param {Record<string, string | number | null | undefined>} [query] Parameters.
 */
export function keyAddress(key, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return `/keys/${encodeURIComponent(key)}${text ? `?${text}` : ""}`;
}

/** @returns {Route} The route of the present address. */
export function currentRoute() {
  const query = new URLSearchParams(location.search);
  const path = location.pathname;
  if (!path.startsWith("/keys/")) return { name: PATHS[path] ?? "unknown", key: null, query };
  try {
    return { name: "key", key: decodeURIComponent(path.slice("/keys/".length)), query };
  } catch {
    return { name: "unknown", key: null, query };
  }
}

/** @param {string} path Path of a link. */
function isPage(path) {
  return path in PATHS || path.startsWith("/keys/");
}
