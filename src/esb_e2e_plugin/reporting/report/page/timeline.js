// The time line: a canvas for each environment, all with the same scale.

const LEFT = 74, RIGHT = 10, AXIS_HEIGHT = 26;
const TIMELINE_LEGEND = [
  ["waiting", "waiting"], ["reset", "reset"], ["compose", "compose"], ["deploy", "deploy"], ["test", "test"], ["cleanup", "cleanup"],
  ["step", "step, command"], ["coming-up", "service comes up"], ["service", "service is up"], ["setup", "setup and teardown of a test"],
  ["test-passed", "test passed"], ["fault", "failed test, fault"], ["test-quiet", "any other test"],
];

// Each thing gets the first lane in which nothing else is going on.
function packed(spans) {
  const ends = [];
  return spans.map((span) => {
    let lane = ends.findIndex((end) => end <= span.from + 1e-6);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = span.to;
    return { ...span, lane };
  });
}

function layout(environment) {
  const start = environment.run.started, end = endOf(environment), lanes = [];
  const span = (of, kind, text, more) => ({ from: of.started - start, to: (of.finished || end) - start, kind, text, more, of });
  const phases = [
    ...environment.waits.map((wait) => span(wait, "waiting", wait.name, "")),
    ...environment.phases.map((phase) => span(phase, phaseKind(environment, phase), phase.name, phase.cause || (phase.finished ? "" : "not over"))),
  ];
  lanes.push({ caption: "phases", height: 18, spans: phases, words: true });
  const steps = packed(environment.steps.map((step) => span(step, step.ok === false ? "fault" : "step", step.name, step.detail)));
  const stepLanes = Math.min(Math.max(...steps.map((step) => step.lane), -1) + 1, 4);
  for (let lane = 0; lane < stepLanes; lane++)
    lanes.push({ caption: lane ? "" : "steps", height: 7, spans: steps.filter((step) => Math.min(step.lane, 3) === lane) });
  const services = [...new Set(environment.services.map((service) => service.name))].sort();
  services.forEach((name, index) => {
    const spans = environment.services.filter((service) => service.name === name).map((service) =>
      span(service, service.ok === false ? "fault" : service.ok ? "coming-up" : "service",
        service.ok ? `${name} comes up` : service.ok === false ? `${name} fails` : `${name} is up`, service.ok ? service.detail : ""));
    lanes.push({ caption: index ? "" : "services", height: 5, spans, tight: true });
  });
  const ready = environment.phases.find((phase) => phase.name === "test");
  const workers = new Map();
  for (const test of environment.tests) {
    if (test.started === null) continue;
    // A setup may have waited for its environment: that wait is told by the phases.
    const from = Math.max(test.started, ready ? Math.min(ready.started, test.started + test.setup) : test.started) - start;
    const setup = test.started + test.setup - start, to = setup + test.call + test.teardown;
    const kind = BAD.has(test.outcome) ? "fault" : test.outcome === "passed" ? "test-passed" : "test-quiet";
    const key = test.worker || "";
    if (!workers.has(key)) workers.set(key, []);
    workers.get(key).push({ from: Math.min(from, setup), to, setup, call: setup + test.call, kind, text: test.scenario, more: `${WORDS[test.outcome][1]}${test.message ? `: ${test.message}` : ""}`, test });
  }
  [...workers.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true })).forEach((worker, index) =>
    lanes.push({ caption: worker || (index ? "" : "tests"), height: 9, spans: workers.get(worker).sort((a, b) => a.from - b.from), tests: true }));
  let top = 6;
  for (const lane of lanes) {
    lane.top = top;
    top += lane.height + (lane.tight ? 2 : 4);
  }
  const marks = environment.events.filter((event) => event.bad || event.kind === "lease")
    .map((event) => ({ at: event.at - start, bad: event.bad, text: `${event.subject} ${event.text}`.trim() }));
  return { environment, lanes, marks, height: top + 4, end: end - start };
}

class Timeline {
  constructor(root, model, openTest, openEnvironment) {
    this.root = root; this.openTest = openTest; this.openEnvironment = openEnvironment;
    this.tracks = model.environments.map(layout);
    this.end = Math.max(1, ...this.tracks.map((track) => track.end)) * 1.01;
    this.from = 0; this.to = this.end; this.tip = byId("tip");
    this.build(model);
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }

  build(model) {
    const button = (label, text, act) => make("button", { type: "button", class: "plain", "aria-label": label, title: label, onclick: act }, text);
    this.root.append(make("div", { class: "tools" },
      button("Zoom in", "+", () => this.zoom(0.5)), button("Zoom out", "−", () => this.zoom(2)), button("Show all", "all", () => this.show(0, this.end)),
      button("Move left", "←", () => this.move(-0.3)), button("Move right", "→", () => this.move(0.3)),
      make("span", { class: "hint" }, "drag to move, Ctrl and wheel to zoom; on a focused line: arrows, + and −, 0 for all, Enter for its details"),
      model.several && make("span", {}, "Each run begins at 0.")));
    this.frame = make("div", { class: "frame" });
    this.axis = make("canvas", { "aria-hidden": "true" });
    this.frame.append(make("div", { class: "track axis" }, make("span", { class: "label" }, "time since the start"), this.axis));
    for (const track of this.tracks) {
      const { environment } = track;
      track.canvas = make("canvas", { tabindex: "0", role: "img", "data-environment": environment.name, "aria-label": this.words(environment) });
      track.row = make("div", { class: "track" },
        make("button", { type: "button", class: "label", onclick: () => this.openEnvironment(environment) },
          make("span", { class: environment.ok === false ? "failed" : environment.ok ? "passed" : "not_run", "aria-hidden": "true" }, environment.ok === false ? "✗" : environment.ok ? "✓" : "·"),
          make("span", { class: "name" }, environment.name, model.several && make("span", { class: "run" }, environment.run.id))),
        track.canvas);
      this.frame.append(track.row);
      this.listen(track);
    }
    this.root.append(this.frame, make("div", { class: "legend timeline-legend" },
      TIMELINE_LEGEND.map(([name, text]) => make("span", {}, make("i", { style: { background: `var(--${name})` } }), text))));
  }

  words(environment) {
    const phases = environment.phases.map((phase) => `${phase.name} ${phase.finished ? took(phase.finished - phase.started) : "not over"}${phase.ok === false ? ", failed" : ""}`);
    return `${environment.name}: ${phases.join("; ") || "not started"}`;
  }

  listen(track) {
    const { canvas } = track;
    let dragged = null, moved = false;
    canvas.addEventListener("pointerdown", (event) => { dragged = event.clientX; moved = false; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (dragged === null) return this.hover(track, event);
      const by = event.clientX - dragged;
      if (Math.abs(by) > 3 || moved) { moved = true; dragged = event.clientX; this.hide(); this.shift(-by / this.perSecond(canvas)); }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!moved && dragged !== null) this.click(track, event);
      dragged = null;
    });
    canvas.addEventListener("pointerleave", () => this.hide());
    canvas.addEventListener("dblclick", (event) => this.zoom(0.4, this.at(canvas, event)));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(canvas, event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const act = { ArrowLeft: () => this.move(-0.15), ArrowRight: () => this.move(0.15), "+": () => this.zoom(0.6), "=": () => this.zoom(0.6),
        "-": () => this.zoom(1.6), 0: () => this.show(0, this.end), Home: () => this.show(0, this.end), Enter: () => this.openEnvironment(track.environment) }[event.key];
      if (act && !event.ctrlKey && !event.metaKey) { act(); event.preventDefault(); }
    });
  }

  show(from, to) {
    const width = Math.min(Math.max(to - from, 0.02), this.end);
    this.from = Math.min(Math.max(from, 0), this.end - width); this.to = this.from + width;
    this.draw();
  }
  zoom(by, around = (this.from + this.to) / 2) { this.show(around - (around - this.from) * by, around + (this.to - around) * by); }
  move(part) { this.shift(part * (this.to - this.from)); }
  shift(seconds) { this.show(this.from + seconds, this.from + seconds + this.to - this.from); }
  perSecond(canvas) { return (canvas.clientWidth - LEFT - RIGHT) / (this.to - this.from); }
  at(canvas, event) { return this.from + (event.clientX - canvas.getBoundingClientRect().left - LEFT) / this.perSecond(canvas); }

  only(environments) {
    for (const track of this.tracks) track.row.hidden = environments.size > 0 && !environments.has(track.environment.name);
    for (const track of this.tracks) track.row.style.display = track.row.hidden ? "none" : "";
    this.draw();
  }

  found(track, event) {
    const box = track.canvas.getBoundingClientRect(), y = event.clientY - box.top, at = this.at(track.canvas, event);
    const slack = 3 / this.perSecond(track.canvas);
    if (y < 8) {
      const mark = track.marks.find((one) => Math.abs(one.at - at) < 2 * slack);
      if (mark) return { mark };
    }
    const lane = track.lanes.find((one) => y >= one.top - 2 && y < one.top + one.height + 2);
    if (!lane) return null;
    const inside = lane.spans.filter((one) => at >= one.from - slack && at <= one.to + slack);
    const span = inside.sort((a, b) => (a.to - a.from) - (b.to - b.from))[0];
    return span ? { span } : null;
  }

  hover(track, event) {
    const found = this.found(track, event);
    if (!found) return this.hide();
    const { mark, span } = found;
    this.tip.replaceChildren(...(mark
      ? [make("b", {}, mark.text), `at ${took(mark.at)}`]
      : [make("b", {}, span.text), `${took(span.to - span.from)}, from ${took(span.from)} to ${took(span.to)}`, span.more ? make("br") : "", (span.more || "").slice(0, 300)]));
    this.tip.hidden = false;
    const width = this.tip.offsetWidth, height = this.tip.offsetHeight;
    this.tip.style.left = `${Math.max(6, Math.min(event.clientX + 14, innerWidth - width - 6))}px`;
    this.tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18}px`;
    track.canvas.style.cursor = span ? "pointer" : "crosshair";
  }
  hide() { this.tip.hidden = true; }

  click(track, event) {
    const found = this.found(track, event);
    if (!found) return;
    this.hide();
    if (found.span && found.span.test) this.openTest(found.span.test); else this.openEnvironment(track.environment);
  }

  surface(canvas, height) {
    const scale = window.devicePixelRatio || 1, width = canvas.parentElement.clientWidth ? canvas.clientWidth : 0;
    canvas.style.height = `${height}px`;
    if (!width) return null;
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`; pen.textBaseline = "middle";
    return { pen, width };
  }

  draw() {
    const names = ["line", "line-soft", "ink", "ink-3", "surface", "failed", "waiting", ...TIMELINE_LEGEND.map(([name]) => name)];
    this.colors = Object.fromEntries(names.map((name) => [name, color(name)]));
    const ticks = this.ticks(), axis = this.surface(this.axis, AXIS_HEIGHT);
    if (axis) {
      axis.pen.fillStyle = this.colors["ink-3"]; axis.pen.textAlign = "center";
      for (const at of ticks) axis.pen.fillText(at === 0 ? "0" : took(at), Math.max(LEFT, LEFT + (at - this.from) * this.perSecond(this.axis)), AXIS_HEIGHT / 2);
    }
    for (const track of this.tracks) if (!track.row.hidden) this.drawTrack(track, ticks);
  }

  ticks() {
    const about = (this.to - this.from) / Math.max(2, (this.axis.clientWidth - LEFT) / 110);
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600].find((one) => one >= about) || 86400;
    const found = [];
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) found.push(Math.round(at * 1000) / 1000);
    return found;
  }

  drawTrack(track, ticks) {
    const made = this.surface(track.canvas, track.height);
    if (!made) return;
    const { pen, width } = made, scale = this.perSecond(track.canvas), x = (at) => LEFT + (at - this.from) * scale;
    pen.fillStyle = this.colors["line-soft"];
    for (const at of ticks) pen.fillRect(Math.round(x(at)), 0, 1, track.height);
    pen.fillStyle = this.colors["ink-3"]; pen.textAlign = "right";
    for (const lane of track.lanes) if (lane.caption) pen.fillText(lane.caption, LEFT - 9, lane.top + lane.height / 2 + 1, LEFT - 14);
    pen.save();
    pen.beginPath(); pen.rect(LEFT, 0, width - LEFT - RIGHT + 4, track.height); pen.clip();
    pen.textAlign = "left";
    for (const lane of track.lanes) {
      let last = -1;
      for (const span of lane.spans) {
        if (span.to < this.from || span.from > this.to) continue;
        const left = x(span.from), right = Math.max(x(span.to), left + 1.5);
        if (lane.tests) {
          if (right <= last && span.kind !== "fault") continue; // nothing of it would be seen
          last = right;
          pen.fillStyle = this.colors.setup; pen.fillRect(left, lane.top, right - left, lane.height);
          pen.fillStyle = this.colors[span.kind];
          const begin = span.kind === "fault" && span.call === span.setup ? left : x(span.setup);
          pen.fillRect(begin, lane.top, Math.max((span.kind === "fault" && span.call === span.setup ? right : x(span.call)) - begin, 1.5), lane.height);
          continue;
        }
        pen.fillStyle = this.colors[span.kind];
        pen.fillRect(left, lane.top, right - left, lane.height);
        if (right - left > 3) { pen.fillStyle = this.colors.surface; pen.fillRect(right - 0.75, lane.top, 0.75, lane.height); }
        if (lane.words && right - Math.max(left, LEFT) > 44) {
          pen.fillStyle = "#fff"; pen.font = `600 ${pen.font.replace(/^(600 )?/, "")}`;
          if (span.kind === "waiting" || span.kind === "cleanup" || span.kind === "reset") pen.fillStyle = "#10151b";
          pen.fillText(span.text, Math.max(left, LEFT) + 6, lane.top + lane.height / 2 + 1, right - Math.max(left, LEFT) - 8);
          pen.font = pen.font.replace(/^600 /, "");
        }
      }
    }
    for (const mark of track.marks) {
      pen.fillStyle = mark.bad ? this.colors.failed : this.colors.waiting;
      pen.beginPath(); pen.moveTo(x(mark.at) - 5, 0); pen.lineTo(x(mark.at) + 5, 0); pen.lineTo(x(mark.at), 8); pen.fill();
      pen.globalAlpha = 0.5; pen.fillRect(Math.round(x(mark.at)), 0, 1, track.height); pen.globalAlpha = 1;
    }
    pen.restore();
  }
}
