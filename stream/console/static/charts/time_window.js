/** Span of time that all charts of a page show together. */

const LEAST_US = 10e6;
const MOST_US = 400 * 86400e6;

/**
 * Span of time; dispatches `change` at once, and `settled` when it has been still for a moment.
 */
export class TimeWindow extends EventTarget {
  /** Length that follows the newest record; null for a fixed span. @type {number | null} */
  follows = null;
  #timer = 0;

  /**
   * @param {number} beginUs Begin, microseconds.
   * @param {number} endUs End, microseconds.
   */
  constructor(beginUs, endUs) {
    super();
    this.beginUs = beginUs;
    this.endUs = endUs;
  }

  get lengthUs() {
    return this.endUs - this.beginUs;
  }

  /**
   * Show a span.
   *
   * @param {number} beginUs Begin, microseconds.
   * @param {number} endUs End, microseconds.
   * @param {number | null} [follows] Length by which it follows the newest record.
   */
  set(beginUs, endUs, follows = null) {
    const length = Math.max(LEAST_US, Math.min(MOST_US, endUs - beginUs));
    const middle = (beginUs + endUs) / 2;
    this.follows = follows;
    this.beginUs = Math.round(length === endUs - beginUs ? beginUs : middle - length / 2);
    this.endUs = Math.round(this.beginUs + length);
    this.dispatchEvent(new Event("change"));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.dispatchEvent(new Event("settled")), 160);
  }

  /** @param {number} us Microseconds to move by. */
  pan(us) {
    this.set(this.beginUs + us, this.endUs + us);
  }

  /**
   * Zoom around a place. Without one, a span that follows the newest record keeps its end, and goes
   * on to follow; another one keeps its middle.
   *
   * @param {number} factor Factor on the length.
   * @param {number} [share] Place that stays, 0 at the begin to 1 at the end.
   */
  zoom(factor, share) {
    const length = Math.max(LEAST_US, Math.min(MOST_US, this.lengthUs * factor));
    if (share === undefined && this.follows !== null) {
      this.set(this.endUs - length, this.endUs, length);
      return;
    }
    share ??= 0.5;
    const fixed = this.beginUs + share * this.lengthUs;
    this.set(fixed - share * length, fixed + (1 - share) * length);
  }

  /** Forget what has not been said yet. */
  close() {
    clearTimeout(this.#timer);
  }
}
