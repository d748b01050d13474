/** Requests to the console. Every failure is an `ApiError` whose message is a sentence. */

const TOKEN = "ember.token";

/** Failure of a request; the message can be shown as it is. */
export class ApiError extends Error {
  /**
   * @param {string} message A sentence.
   * @param {number} status Status of the answer; 0 where there was none.
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let csrf = "";

/** Return whether this tab has a token. */
export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** Keep the token of a printed address (`#token=...`) for this tab, and take it out of sight. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(history.state, "", location.pathname + location.search);
}

/**
 * Read from the API.
 *
 * @param {string} path Path below `/api`, such as `/keys`.
 * @param {Record<string, any>} [query] Parameters; empty ones are left out.
 * @param {AbortSignal} [signal] Signal that gives the request up.
 * @returns {Promise<any>} The answer.
 */
export async function get(path, query = {}, signal) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  const answer = await request("GET", `/api${path}${text ? `?${text}` : ""}`, undefined, signal);
  if (path === "/status") csrf = answer.csrf ?? "";
  return answer;
}

/**
 * Change something by the API.
 *
 * @param {string} method HTTP method.
 * @param {string} path Whole path, such as `/api/feedback`.
 * @param {any} [body] Body, sent as JSON.
 * @param {AbortSignal} [signal] Signal that gives the request up.
 * @returns {Promise<any>} The answer.
 */
export function send(method, path, body, signal) {
  return request(method, path, body, signal);
}

/**
 * Return the path of a key in the API.
 *
 * @param {string} key Text of the key.
 * @param {string} [rest] Part of the key's data, such as `series`.
 */
export function keyPath(key, rest = "") {
  return `/keys/${encodeURIComponent(key)}${rest ? `/${rest}` : ""}`;
}

/**
 * @param {string} method HTTP method.
 * @param {string} path Path with its query.
 * @param {any} body Body, or undefined.
 * @param {AbortSignal | undefined} signal Signal that gives the request up.
 */
async function request(method, path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (method !== "GET") headers["X-Ember-CSRF"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The console does not answer. Is `ember console` still running?", 0);
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
  }
  if (response.ok && answer !== null) return answer;
  const sentence = answer?.error ?? `The console answered ${response.status} to ${method} ${path}.`;
  throw new ApiError(sentence, response.status);
}

/**
 * Return whether an error is only a request that was given up.
 *
 * @param {unknown} error The error.
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}
