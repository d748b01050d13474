/** The console's stream of server-sent events, and whether it is alive. */

const KINDS = ["trigger", "incident", "control", "rows", "replay"];
const SILENT_MS = 8_000;
const RETRY_MS = 3_000;

/**
 * Live events. Dispatches `trigger`, `incident`, `control`, `rows` and `replay` with the message in `detail`,
 * and `state` when `state` changes.
 */
class Live extends EventTarget {
  /** @type {"live" | "paused" | "lost"} */
  state = "lost";
  /** Whether the viewer holds the page still. */
  isPaused = false;
  /** @type {EventSource | null} */
  #source = null;
  #heard = 0;

  /** Connect, and connect again whenever the connection is lost. */
  start() {
    this.#connect();
    setInterval(() => {
      if (Date.now() - this.#heard > SILENT_MS) this.#set("lost");
      if (this.#source?.readyState === EventSource.CLOSED) this.#connect();
    }, RETRY_MS);
    // A page that is left must not hold one of the browser's six connections.
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#connect());
  }

  /** Hold the page still, or let it run on. */
  toggle() {
    this.isPaused = !this.isPaused;
    if (this.state !== "lost") this.#set(this.isPaused ? "paused" : "live");
    if (!this.isPaused) this.dispatchEvent(new Event("resume"));
  }

  #connect() {
    this.#source?.close();
    const source = new EventSource("/api/stream");
    this.#source = source;
    source.onopen = () => this.#alive();
    source.onerror = () => this.#set("lost");
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        this.#alive();
        const detail = JSON.parse(/** @type {MessageEvent} */ (event).data);
        this.dispatchEvent(new CustomEvent(kind, { detail }));
      });
    }
  }

  #alive() {
    this.#heard = Date.now();
    this.#set(this.isPaused ? "paused" : "live");
  }

  /** @param {"live" | "paused" | "lost"} state New state. */
  #set(state) {
    if (state === this.state) return;
    const wasLost = this.state === "lost";
    this.state = state;
    this.dispatchEvent(new Event("state"));
    if (wasLost && state === "live") this.dispatchEvent(new Event("resume"));
  }
}

/** The live events of this page. */
export const live = new Live();
