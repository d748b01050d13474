// The threshold slider; everything else on the page works without a script.
"use strict";
const MERGE = 10; // flagged rows at most this far apart belong to one episode, as in the figures

/** Decode the evidence of a key from base64 of little-endian uint16. */
function unpack(text) {
  const bytes = atob(text);
  const out = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) {
    out[i] = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
  }
  return out;
}

/** Return a key's episodes at a threshold, as [first row, last row, x of both]; see _motor.py. */
function episodes(key, on) {
  const out = [];
  let free = key.free;
  let at = 0;
  for (let i = 0; i < key.x.length; i += 4) {
    const [start, size, x0, x1] = key.x.slice(i, i + 4);
    const end = start + size;
    const from = at;
    at += size;
    let row = Math.max(start, free);
    while (row < end && key.e[from + row - start] < on) row++;
    if (row >= end) continue;
    const last = Math.min(end, key.n - 1);
    const x = x0 + ((row - start) / Math.max(size, 1)) * (x1 - x0);
    out.push([row, last, x / 10, x1 / 10]);
    free = end + key.rest + 1;
  }
  return out;
}

/** Tell if an episode [first, last] touches the labelled event number i. */
function touches(key, i, [first, last]) {
  return key.l[2 * i] <= last && first < key.l[2 * i + 1];
}

/** Return the numbers of the labelled events that an episode touches. */
function caughtEvents(key, fired) {
  const events = [...Array(key.l ? key.l.length / 2 : 0).keys()];
  return events.filter((i) => fired.some((episode) => touches(key, i, episode)));
}

/** Tell if an episode holds no labelled row. */
function isFalse(key, episode) {
  return key.l !== null && caughtEvents(key, [episode]).length === 0;
}

/** Count episodes, events caught and false episodes of a key, as the figures define them. */
function evaluate(key, fired) {
  if (!key.l) return [fired.length, 0, 0];
  let count = 0, wrong = 0, until = -Infinity, good = true;
  for (const episode of fired) {
    if (episode[0] - until > MERGE) {
      if (!good) wrong++;
      count++;
      good = false;
    }
    good = good || !isFalse(key, episode);
    until = episode[1];
  }
  if (!good) wrong++;
  return [count, caughtEvents(key, fired).length, wrong];
}

function start(data) {
  const slider = document.getElementById("on");
  const shown = document.getElementById("on-value");
  const result = document.getElementById("on-result");
  const reset = document.getElementById("on-reset");
  const lanes = new Map(); // key on the page -> its episodes and labels, and both as it ran
  for (const g of document.querySelectorAll("g.fired")) {
    const labels = g.parentNode.querySelector("g.labels");
    lanes.set(+g.dataset.key, { g, labels, ran: [g.innerHTML, labels.innerHTML] });
  }
  const lines = [...document.querySelectorAll("g.on-line")];
  for (const key of data.keys) key.e = unpack(key.e);

  const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
  function describe([fired, caught, wrong, events], on, ran) {
    let text = count(fired, "episode", "episodes");
    if (data.labelled) {
      text += `: ${caught.toLocaleString("en")} of ${count(events, "event", "events")} caught, `;
      text += count(wrong, "false episode", "false episodes");
    }
    text += ran ? " (as it ran)." : ".";
    if (data.rate) {
      const [half, slope, week] = data.rate;
      const often = week * Math.exp(-(Math.max(on, half) - half) / slope);
      const number = often >= 10 ? often.toFixed(0) : often.toPrecision(2);
      text += ` Expected by training: about ${number} false triggers per key and week.`;
    }
    result.textContent = text;
  }

  function place(on) {
    const [bottom, top] = data.y;
    const y = bottom + (Math.min(on, data.high) / data.high) * (top - bottom);
    for (const line of lines) {
      const path = line.querySelector("path");
      path.setAttribute("d", path.getAttribute("d").replace(/ [\d.]+H/, ` ${y.toFixed(1)}H`));
      const text = line.querySelector("text");
      text.setAttribute("y", (y + 3.5).toFixed(1));
      text.textContent = `fires ${on.toFixed(2)}`;
    }
  }

  function asItRan() {
    slider.value = data.on;
    shown.value = data.on.toFixed(2);
    reset.disabled = true;
    document.body.classList.remove("moved");
    for (const { g, labels, ran } of lanes.values()) {
      [g.innerHTML, labels.innerHTML] = ran;
    }
    place(data.on);
    describe(data.actual, data.on, true);
  }

  function draw(key, fired, { g, labels }) {
    const [top, height, labelTop] = data.lane;
    g.innerHTML = fired
      .map((episode) => {
        const [, , a, b] = episode;
        const wrong = isFalse(key, episode);
        const width = Math.max(b - a, wrong ? 4 : 1).toFixed(1);
        const box = `x="${a.toFixed(1)}" y="${top}" width="${width}" height="${height}"`;
        return `<rect class="fire${wrong ? " false" : ""}" ${box}/>`;
      })
      .join("");
    const caught = new Set(caughtEvents(key, fired));
    [...labels.children].forEach((box, i) => {
      const size = caught.has(i) ? height : height / 2;
      box.setAttribute("class", caught.has(i) ? "event" : "missed");
      box.setAttribute("height", size);
      box.setAttribute("y", labelTop + height - size);
      box.textContent = ""; // its title describes the run, not this threshold
    });
  }

  function move() {
    const on = +slider.value;
    const total = [0, 0, 0, 0];
    for (const key of data.keys) {
      const fired = episodes(key, on * data.steps);
      evaluate(key, fired).forEach((n, i) => (total[i] += n));
      total[3] += key.l ? key.l.length / 2 : 0;
      if (lanes.has(key.at)) draw(key, fired, lanes.get(key.at));
    }
    document.body.classList.add("moved");
    shown.value = on.toFixed(2);
    reset.disabled = false;
    place(on);
    describe(total, on, false);
  }

  slider.addEventListener("input", move);
  reset.addEventListener("click", asItRan);
  asItRan();
}

if (typeof document !== "undefined") {
  const element = document.getElementById("data");
  if (element) start(JSON.parse(element.textContent));
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
}
if (typeof module !== "undefined") module.exports = { episodes, evaluate, unpack };
