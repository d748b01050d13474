/**
 * Moves of mouse, wheel and fingers on a chart.
 *
 * A drag chooses a span, with Shift it pans. Ctrl and the wheel zoom, a sideways wheel pans; the
 * plain wheel scrolls the page. One finger pans sideways, two zoom.
 */

/**
 * @param {HTMLElement} plot Part of the chart where its lines are.
 * @param {import("./time_window.js").TimeWindow} span Span to change.
 * @param {(share: number | null) => void} pin Function that gets the place of a click.
 */
export function followGestures(plot, span, pin) {
  /** @type {Map<number, number>} */
  const fingers = new Map();
  /** @type {{x: number, beginUs: number, endUs: number, isPan: boolean} | null} */
  let drag = null;
  const mark = document.createElement("div");
  mark.className = "chosen-span";
  mark.hidden = true;
  plot.append(mark);

  /** @param {number} x Place of the pointer. */
  const share = (x) => {
    const box = plot.getBoundingClientRect();
    return (x - box.left) / Math.max(1, box.width);
  };

  plot.addEventListener(
    "wheel",
    (event) => {
      const isZoom = event.ctrlKey || event.metaKey || event.altKey;
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (isZoom) {
        event.preventDefault();
        span.zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) / 250), share(event.clientX));
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        span.pan((sideways / Math.max(1, plot.clientWidth)) * span.lengthUs);
      }
    },
    { passive: false },
  );

  plot.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, event.clientX);
    const isPan = event.pointerType === "touch" || event.shiftKey;
    drag = { x: event.clientX, beginUs: span.beginUs, endUs: span.endUs, isPan };
    if (event.pointerType !== "touch") plot.setPointerCapture(event.pointerId);
  });

  plot.addEventListener("pointermove", (event) => {
    if (!drag || !fingers.has(event.pointerId)) return;
    if (fingers.size === 2) {
      const [before, other] = [fingers.get(event.pointerId) ?? 0, otherFinger(event.pointerId)];
      const [old, now] = [Math.abs(before - other), Math.abs(event.clientX - other)];
      fingers.set(event.pointerId, event.clientX);
      if (old > 8 && now > 8) span.zoom(old / now, share((event.clientX + other) / 2));
      drag = { x: event.clientX, beginUs: span.beginUs, endUs: span.endUs, isPan: true };
      return;
    }
    fingers.set(event.pointerId, event.clientX);
    const moved = event.clientX - drag.x;
    if (drag.isPan) {
      const us = (moved / Math.max(1, plot.clientWidth)) * (drag.endUs - drag.beginUs);
      if (Math.abs(moved) > 2) span.set(drag.beginUs - us, drag.endUs - us);
    } else {
      const [a, b] = [share(drag.x), share(event.clientX)].map((at) => Math.max(0, Math.min(1, at)));
      mark.hidden = Math.abs(moved) < 4;
      mark.style.left = `${100 * Math.min(a, b)}%`;
      mark.style.width = `${100 * Math.abs(a - b)}%`;
    }
  });

  /** @param {PointerEvent} event End of a drag. */
  const end = (event) => {
    fingers.delete(event.pointerId);
    const started = drag;
    if (!fingers.size) drag = null;
    mark.hidden = true;
    if (!started || event.type === "pointercancel") return;
    const moved = Math.abs(event.clientX - started.x);
    if (moved < 4) pin(share(event.clientX));
    else if (!started.isPan) {
      const [a, b] = [share(started.x), share(event.clientX)].map((at) => Math.max(0, Math.min(1, at)));
      const [begin, length] = [started.beginUs, started.endUs - started.beginUs];
      span.set(begin + Math.min(a, b) * length, begin + Math.max(a, b) * length);
    }
  };
  plot.addEventListener("pointerup", end);
  plot.addEventListener("pointercancel", end);
  plot.addEventListener("dblclick", () => span.zoom(2));

  /** @param {number} pointer One of two pointers. */
  function otherFinger(pointer) {
    for (const [id, x] of fingers) if (id !== pointer) return x;
    return 0;
  }
}
