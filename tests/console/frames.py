"""Frames a second of the heat map, while it scrolls under a moving pointer.

    python -m tests.console.frames --keys 10000

Prints one JSON object a kind of rows; times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import time

from tests.console.chromium import chromium, served
from tests.stream.console import filled

SECONDS = 5
MEASURE = """async seconds => {
  const heat = document.querySelector('.heat');
  const box = heat.getBoundingClientRect();
  const gaps = [];
  let last = performance.now();
  const end = last + 1e3 * seconds;
  await new Promise(done => {
    function frame() {
      const now = performance.now();
      gaps.push(now - last);
      last = now;
      const n = gaps.length;
      heat.scrollTop = (heat.scrollTop + 137) % Math.max(1, heat.scrollHeight - heat.clientHeight);
      heat.dispatchEvent(new PointerEvent('pointermove', {
        clientX: box.left + 220 + (13 * n) % 600, clientY: box.top + 40 + (7 * n) % 400,
        bubbles: true, pointerType: 'mouse',
      }));
      now < end ? requestAnimationFrame(frame) : done();
    }
    requestAnimationFrame(frame);
  });
  gaps.sort((a, b) => a - b);
  const place = share => Math.round(10 * gaps[Math.floor(share * (gaps.length - 1))]) / 10;
  return {
    frames_per_second: Math.round(gaps.length / seconds),
    median_ms: place(0.5), p95_ms: place(0.95), worst_ms: place(1),
  };
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=1.0)
    options = parser.parse_args()
    end_us = time.time_ns() // 1000 // filled.STEP_US * filled.STEP_US
    console = filled.filled_console(keys=options.keys, hours=options.hours, end_us=end_us)
    with served(console) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        for rows in ("names", "dense", "all"):
            page.goto(f"{address}/?rows={rows}")
            page.locator(".heat-canvas").wait_for()
            page.wait_for_function("document.querySelector('.figure dd').textContent !== '0'")
            page.wait_for_timeout(2_000)
            measured = page.evaluate(MEASURE, SECONDS)
            print(json.dumps({"keys": options.keys, "rows": rows, **measured}))


if __name__ == "__main__":
    main()
