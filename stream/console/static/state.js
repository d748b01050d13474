/** What every page knows: the console's status, kept up to date. */
import { get, hasToken } from "./api.js";
import { live } from "./live.js";

const EVERY_MS = 10_000;

/** Status of the console; dispatches `change`. */
class State extends EventTarget {
  /** @type {any} */
  status = null;
  /** Whether the stream of events was connected once. */
  wasLive = false;
  /** Seconds between two rows of a key in the model's history; null: not known. @type {number | null} */
  historySeconds = null;
  #unit = "row";
  /** Microseconds by which the console's clock is ahead of the viewer's. */
  #ahead = 0;

  /** Read the status, and again from time to time. */
  async start() {
    live.addEventListener("rows", (event) => {
      const { last_us, firing, keys, reading, trouble } = /** @type {CustomEvent} */ (event).detail;
      if (!this.status) return;
      this.wasLive = true;
      Object.assign(this.status, { last_us, firing, keys, reading, trouble });
      this.dispatchEvent(new Event("change"));
    });
    setInterval(() => this.refresh().catch(() => {}), EVERY_MS);
    await this.refresh();
    // Without a model severities are said in rows, which is right for most.
    get("/network").then((network) => {
      this.#unit = network.severity_unit ?? "row";
      this.historySeconds = network.row_seconds ?? null;
      this.dispatchEvent(new Event("change"));
    }, () => {});
  }

  /**
   * Return the seconds for which a severity of 1 stands for ten: a day, or the time between two
   * rows, as the model has it.
   *
   * @param {number | null} cadence Seconds between two rows of a key; null: not known.
   */
  severitySeconds(cadence) {
    return this.#unit === "day" ? 86_400 : cadence;
  }

  /** Read the status now. */
  async refresh() {
    this.status = await get("/status");
    this.#ahead = this.status.now_us - Date.now() * 1e3;
    this.dispatchEvent(new Event("change"));
  }

  /** Return the console's time in microseconds. */
  now() {
    return Date.now() * 1e3 + this.#ahead;
  }

  /** Return the time that a live picture ends at: the newest record, else now. */
  end() {
    return this.status?.last_us ?? this.now();
  }

  /** Return why nothing can be changed here, as a sentence; empty where it can. */
  get locked() {
    if (this.status?.can_write) return "";
    if (this.status?.user) return "The console is read only: the workers follow no documents. Set control.enabled=true, and restart them and the console.";
    if (hasToken()) return "The console is read only for you: the token of this tab is not console.token. Open the address with the right one.";
    return "The console is read only for you: it does not know who you are. Open the address that was printed, or see console.token and console.user_header.";
  }
}

/** The status of this page. */
export const state = new State();
