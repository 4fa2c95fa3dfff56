"use strict";
// Asks for status.json every two seconds and shows it. What it is given is shown as text, never as markup.

const EVERY = 2000, HIDDEN_EVERY = 15000, PATIENCE = 5000, KEPT = 900, RATE_OVER = 10000;
let instance = null, last = 0, samples = [], polls = [], shown = null, lostAt = null, restarted = false;

// What the parser makes of the page's own <svg>.
const SVG = document.querySelector("svg").namespaceURI;
const at = (id) => document.getElementById(id);
const put = (id, text) => { at(id).textContent = text; };
const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

function make(tag, attributes, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  found.append(...children);
  return found;
}

function draw(tag, attributes, text) {
  const found = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  if (text !== undefined) found.textContent = text;
  return found;
}

// Numbers for people.

const number = (value) => Math.round(value).toLocaleString("en");

function rounded(value) { return value >= 100 ? Math.round(value) : Number(value.toPrecision(2)); }

function bytes(value) {
  if (value === null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let place = 0;
  while (value >= 999.5 && place < units.length - 1) { value /= 1000; place += 1; }
  return `${rounded(value)} ${units[place]}`;
}

function duration(ms) {
  if (ms === null) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${rounded(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${Math.floor(hours)} h ${Math.round(minutes % 60)} min` : `${rounded(hours / 24)} days`;
}

const perSecond = (value) => (value > 0 && value < 10 ? value.toFixed(1) : number(value));

// What was before, for rates.

function counted(table) {
  const events = Object.values(table.events).reduce((sum, count) => sum + count, 0);
  return { events, rows: table.snapshot ? table.snapshot.sent : 0 };
}

function remember(status) {
  polls.push({ ms: status.now_ms, tables: new Map(status.tables.map((table) => [table.name, counted(table)])) });
  while (polls.length > 2 && status.now_ms - polls[1].ms >= RATE_OVER) polls.shift();
}

function rate(name, what) {
  const first = polls[0], now = polls[polls.length - 1];
  const seconds = (now.ms - first.ms) / 1000;
  if (seconds <= 0) return 0;
  const before = first.tables.get(name), after = now.tables.get(name);
  return (after[what] - (before ? before[what] : 0)) / seconds;
}

// The parts of the page.

const PHASES = {
  starting: "looking at the servers", snapshot: "copying the tables", streaming: "streaming",
  reconnecting: "waiting to try again", standby: "standby: another reads the slot",
};

function showHead(status) {
  document.body.className = !status.healthy ? "bad" : status.state === "RUNNING" ? "good" : "";
  document.title = `${status.name} – ${status.phase}`;
  put("name", status.name);
  put("state-word", status.state);
  const since = status.phase_seconds === null ? "" : `, for ${duration(status.phase_seconds * 1000)}`;
  put("phase", `${PHASES[status.phase]}${since}`);
  put("about", `database ${status.database}, slot ${status.slot.name}, pg-producer ${status.version}` +
    `${status.compiled ? "" : " (not compiled)"}, up for ${duration(status.now_ms - status.started_ms)}` +
    `${restarted ? " (restarted while you looked)" : ""}, ${number(status.reconnects)} reconnects, ` +
    `${number(status.acks)} records acked`);
  at("reasons").hidden = status.healthy;
  at("reasons").replaceChildren(...status.reasons.map((reason) =>
    make("li", {}, make("strong", {}, reason.message), make("br", {}), reason.remedy)));
}

function showFigures(status) {
  const newest = samples[samples.length - 1];
  put("lag", duration(newest ? newest.lag : null));
  let events = 0, rows = 0;
  for (const table of status.tables) { events += rate(table.name, "events"); rows += rate(table.name, "rows"); }
  put("rate", perSecond(events + rows));
  put("rate-note", rows > 0 ? `a second, ${perSecond(rows)} of them snapshot rows` : "events a second");
  put("retained", bytes(status.slot.retained_bytes));
  put("budget", budget(status.slot));
  put("flight", bytes(status.in_flight_bytes));
  put("flight-note", `of ${bytes(status.in_flight_limit_bytes)}`);
}

function budgets(slot) {
  const server = slot.safe_bytes === null || slot.retained_bytes === null ? null : slot.retained_bytes + slot.safe_bytes;
  return [slot.limit_bytes, server].filter((limit) => limit !== null);
}

function ownForecast(slot) {
  // The server's budget has the server's forecast; slot.max.retained.bytes that of the last minute's growth.
  const seen = samples.filter((sample) => sample.retained !== null), newest = seen[seen.length - 1];
  if (slot.limit_bytes === null || !newest) return null;
  const first = seen.find((sample) => newest.ms - sample.ms <= 60000);
  const growth = ((newest.retained - first.retained) / (newest.ms - first.ms)) * 1000;
  return growth > 0 ? Math.max(0, slot.limit_bytes - newest.retained) / growth : null;
}

function budget(slot) {
  const limits = budgets(slot), parts = [];
  const ends = [slot.seconds_left, ownForecast(slot)].filter((seconds) => seconds !== null);
  if (limits.length) parts.push(`of ${bytes(Math.min(...limits))}`);
  if (ends.length) parts.push(`used up in ${duration(Math.min(...ends) * 1000)} at this rate`);
  else if (limits.length) parts.push("no end in sight");
  if (slot.wal_status !== null && slot.wal_status !== "reserved") parts.push(slot.wal_status);
  return parts.length ? parts.join(", ") : "no limit is set";
}

function snapshotCell(snapshot) {
  if (!snapshot) return "–";
  if (snapshot.state === "done") return `done, ${number(snapshot.sent)} rows`;
  if (snapshot.state === "waiting") return `waits, about ${number(snapshot.expected_rows)} rows`;
  const expected = Math.max(snapshot.expected_rows, snapshot.rows, 1);
  const bar = make("progress", { max: expected, value: snapshot.rows, "aria-label": "rows" });
  const share = Math.floor((100 * snapshot.rows) / expected);
  const chunks = snapshot.chunks > 1 ? `, ${snapshot.chunks_done} of ${snapshot.chunks} chunks` : "";
  const words = make("span", { class: "soft" }, ` ${share} %, ${number(snapshot.rows)} rows${chunks}`);
  return make("span", {}, bar, words);
}

function showTables(status) {
  at("tables").replaceChildren(...status.tables.map((table) => {
    const cell = (text, wide) => make("td", { class: wide ? "number wide" : "number" }, text);
    const op = (name) => cell(number(table.events[name] || 0), true);
    const lost = make("td", { class: table.lost ? "number wide lost" : "number wide" }, number(table.lost));
    return make("tr", {},
      make("td", {}, table.name || "logical messages"), make("td", {}, snapshotCell(table.snapshot)),
      cell(perSecond(rate(table.name, "events") + rate(table.name, "rows"))), cell(number(counted(table).events)),
      op("c"), op("u"), op("d"), op("t"), lost);
  }));
}

function showErrors(status) {
  at("no-errors").hidden = status.errors.length > 0;
  at("errors").replaceChildren(...status.errors.map((error) => make("li", {},
    make("span", { class: "kind" }, error.kind), ` ${clock(error.time_us / 1000)}`,
    error.times > 1 ? ` (${number(error.times)} times)` : "", make("br", {}), error.message, make("br", {}),
    make("span", { class: "soft" }, error.remedy))));
}

function showSettings(settings) {
  const ours = (one) => (one[2] ? 0 : 1);
  at("settings").replaceChildren(...[...settings].sort((a, b) => ours(a) - ours(b)).map(([key, value, set]) =>
    make("tr", { class: set ? "" : "default" }, make("th", { scope: "row" }, key), make("td", {}, value))));
}

// Plots: of the samples, as wide as there is room.

function nice(top) {
  const unit = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= top);
}

function plot(id, field, shape, limits) {
  const box = at(id), width = box.clientWidth, height = box.clientHeight;
  if (!width || !height || !samples.length) return;
  const left = 64, right = 8, top = 8, bottom = 20;
  const values = samples.map((sample) => sample[field]).filter((value) => value !== null);
  const most = nice(Math.max(1, ...values, ...limits));
  const end = samples[samples.length - 1].ms, begin = Math.min(samples[0].ms, end - 60000);
  const x = (ms) => left + ((ms - begin) / (end - begin)) * (width - left - right);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${field} over time` });
  for (const share of [0, 0.5, 1]) {
    const level = y(most * share);
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: level, y2: level }));
    svg.append(draw("text", { x: left - 6, y: level + 4, "text-anchor": "end" }, shape(most * share)));
  }
  svg.append(draw("text", { x: left, y: height - 4 }, clock(begin)));
  svg.append(draw("text", { x: width - right, y: height - 4, "text-anchor": "end" }, clock(end)));
  let run = [];
  const flush = () => {
    if (run.length) {
      const line = run.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
      const area = `${run[0][0]},${y(0)} ${line} ${run[run.length - 1][0]},${y(0)}`;
      svg.append(draw("polygon", { class: "area", points: area }), draw("polyline", { class: "line", points: line }));
    }
    run = [];
  };
  for (const sample of samples) {
    if (sample[field] === null) flush();
    else run.push([x(sample.ms), y(sample[field])]);
  }
  flush();
  for (const limit of limits) {
    svg.append(draw("line", { class: "limit", x1: left, x2: width - right, y1: y(limit), y2: y(limit) }));
  }
  box.replaceChildren(svg);
}

function plots() {
  if (!shown) return;
  plot("lag-plot", "lag", duration, []);
  plot("wal-plot", "retained", bytes, budgets(shown.slot));
}

function point(id, field, shape, out) {
  const box = at(id);
  box.addEventListener("pointermove", (event) => {
    if (!samples.length) return;
    const end = samples[samples.length - 1].ms, begin = Math.min(samples[0].ms, end - 60000);
    const share = (event.clientX - box.getBoundingClientRect().left - 64) / (box.clientWidth - 72);
    const ms = begin + share * (end - begin);
    const near = samples.reduce((a, b) => (Math.abs(b.ms - ms) < Math.abs(a.ms - ms) ? b : a));
    put(out, `${clock(near.ms)}: ${shape(near[field])}`);
  });
  box.addEventListener("pointerleave", () => put(out, ""));
}

// Asking.

function forget() { instance = null; last = 0; samples = []; polls = []; }

function take(status) {
  if (instance !== null && status.instance !== instance) {
    // Another process: its samples have other numbers, and its settings may differ.
    forget();
    restarted = true;
    return false;
  }
  instance = status.instance;
  for (const [n, ms, lag, retained] of status.samples) { samples.push({ ms, lag, retained }); last = n; }
  samples = samples.slice(-KEPT);
  remember(status);
  shown = status;
  showHead(status);
  showFigures(status);
  showTables(status);
  showErrors(status);
  if (status.settings) showSettings(status.settings);
  plots();
  return true;
}

function lost() {
  lostAt = lostAt || Date.now();
  document.body.classList.add("stale");
  at("banner").hidden = false;
  put("banner", `The connection to the producer was lost at ${clock(lostAt)}: what stands below is of then. Trying again.`);
}

function found() {
  lostAt = null;
  document.body.classList.remove("stale");
  at("banner").hidden = true;
}

async function ask() {
  const control = new AbortController(), timer = setTimeout(() => control.abort(), PATIENCE);
  let again = document.hidden ? HIDDEN_EVERY : EVERY;
  try {
    const answer = await fetch(`status.json?since=${last}`, { signal: control.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    if (!take(await answer.json())) again = 0;
    found();
  } catch {
    lost();
  } finally {
    clearTimeout(timer);
    setTimeout(ask, again);
  }
}

document.addEventListener("visibilitychange", plots);
new ResizeObserver(plots).observe(document.body);
point("lag-plot", "lag", duration, "lag-at");
point("wal-plot", "retained", bytes, "wal-at");
ask();
