// Making elements and words. Text only ever becomes text: nothing of a report is read as HTML.

const byId = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, of] of Object.entries(value)) element.style.setProperty(key, of);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function took(seconds) {
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60), rest = Math.round(seconds) % 60;
  const pad = (number) => String(number).padStart(2, "0");
  return minutes < 60 ? `${minutes} m ${pad(rest)} s` : `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
}

function clock(at) {
  const date = new Date(at * 1000), pad = (number) => String(number).padStart(2, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

function day(at) {
  const date = new Date(at * 1000), pad = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(at)}`;
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many || one + "s"}`;
}

function tally(outcome, number) {
  return `${number.toLocaleString("en")} ${outcome === "error" && number !== 1 ? "errors" : outcome.replace("_", " ")}`;
}

function badge(outcome, text) {
  const [glyph, word] = WORDS[outcome];
  return make("span", { class: `badge ${outcome}` }, make("span", { class: "glyph", "aria-hidden": "true" }, glyph), text || word);
}

function verdictOf(environment) {
  if (environment.ok === null) return badge("not_run", "not started");
  return environment.ok ? badge("passed") : badge("failed");
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// One line of a log: clock, source and level stand out, whoever wrote it.
const LINE = /^(\d\d:\d\d:\d\d(?:[.,]\d+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*)(\s+)(\[[^\]]{1,80}\]|\S{1,80}(?= (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) ))?/;
const LEVEL = /\b(ERROR|CRITICAL|FATAL|FAILED|Traceback|WARNING|WARN)\b/;

function logText(text) {
  const block = make("pre", { class: `text${/^NAME +STATE/.test(text) ? " table" : ""}`, tabindex: "0" });
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const lead = LINE.exec(line);
    let rest = line;
    if (lead) {
      block.append(make("span", { class: "clock" }, lead[1]), lead[2]);
      if (lead[3]) block.append(make("span", { class: "source" }, lead[3]));
      rest = line.slice(lead[0].length);
    }
    const level = LEVEL.exec(rest);
    if (/^(E  |> )/.test(rest)) block.append(make("span", { class: rest[0] === "E" ? "bad" : "warn" }, rest), "\n");
    else if (level) {
      const kind = level[1].startsWith("WARN") ? "warn" : "bad", end = level.index + level[1].length;
      block.append(rest.slice(0, level.index), make("span", { class: kind }, level[1]), rest.slice(end), "\n");
    } else block.append(rest, "\n");
  }
  return block;
}

function announce(text) {
  byId("announce").textContent = text;
}
