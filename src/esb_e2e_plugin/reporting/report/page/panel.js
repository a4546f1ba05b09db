// What is known of one test or one environment, beside the page.

class Panel {
  constructor(model, actions) {
    this.model = model; this.actions = actions; this.dialog = byId("panel");
    this.dialog.addEventListener("close", () => actions.closed());
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("keydown", (event) => {
      if (event.target.closest("input") || event.ctrlKey || event.metaKey) return;
      if (event.key === "n") actions.step(1);
      if (event.key === "p") actions.step(-1);
    });
  }

  fill(head, title, where, ...body) {
    const close = make("button", { type: "button", class: "plain", "data-close": "", "aria-label": "Close", onclick: () => this.dialog.close() }, "close (Esc)");
    this.body = make("div", { class: "panel-body" }, body);
    this.dialog.replaceChildren(
      make("div", { class: "panel-head" }, make("div", { class: "line" }, head, make("span", { class: "spacer" }), close),
        make("h2", { id: "panel-title" }, title), make("div", { class: "where" }, where)),
      this.body);
    if (!this.dialog.open) this.dialog.showModal();
    close.focus({ preventScroll: true });
  }

  pairs(facts) {
    return make("dl", { class: "pairs" }, facts.filter(([, value]) => value !== null && value !== "").map(([name, value]) => make("div", { class: name.endsWith(" wide") ? "wide" : "" }, make("dt", {}, name.replace(" wide", "")), make("dd", {}, value))));
  }

  section(title, text, open) {
    const lines = text.split("\n").length;
    const copy = make("button", { type: "button", class: "plain", onclick: (event) => {
      event.preventDefault();
      navigator.clipboard.writeText(text).then(() => { copy.textContent = "copied"; }, () => { copy.textContent = "not allowed"; });
    } }, "copy");
    const details = make("details", { "data-section": title }, make("summary", {}, title, make("span", { class: "size" }, count(lines, "line")), navigator.clipboard ? copy : null));
    const fill = () => { if (!details.querySelector("pre")) details.append(logText(text)); };
    details.addEventListener("toggle", () => details.open && fill());
    if (open) { details.open = true; fill(); }
    return details;
  }

  jumps(sections) {
    if (sections.length < 2) return null;
    return make("nav", { class: "jump", "aria-label": "Sections" }, sections.map((details) => make("button", { type: "button", class: "chip", onclick: () => {
      details.open = true;
      details.scrollIntoView({ block: "start" });
      details.querySelector("summary").focus({ preventScroll: true });
    } }, details.dataset.section)));
  }

  test(test) {
    const environment = test.run.environments.find((one) => one.name === test.environment);
    const others = this.model.rows.find((row) => row.scenario === test.scenario);
    const siblings = [...others.cells].flatMap(([, tests]) => tests).filter((one) => one !== test);
    const sections = test.sections.map(([title, text], index) => this.section(title, text, index < 4));
    const step = (by, text) => make("button", { type: "button", class: "plain", onclick: () => this.actions.step(by) }, text);
    const told = environment && environment.failures.find((failure) => !failure.test);
    this.fill(
      [badge(test.outcome), test.environment !== NOWHERE && make("button", { type: "button", class: "chip", onclick: () => this.actions.openEnvironment(environment) }, test.environment),
        BAD.has(test.outcome) && step(-1, "← previous failure"), BAD.has(test.outcome) && step(1, "next failure →")],
      test.scenario.split("::").slice(1).join(" › ") || test.scenario, test.id,
      test.message && make("div", { class: BAD.has(test.outcome) ? "why" : "" }, BAD.has(test.outcome) && make("b", {}, WORDS[test.outcome][1]), make("p", {}, test.message)),
      told && BAD.has(test.outcome) && make("p", {}, "Its environment failed: ", make("button", { type: "button", class: "plain", onclick: () => this.actions.openEnvironment(environment) }, `why ${environment.name} failed`)),
      this.pairs([
        ["place wide", `${test.file}${test.failedLine || test.line ? `:${test.failedLine || test.line}` : ""}`], ["began", test.started ? `${clock(test.started)} (+${took(test.started - test.run.started)})` : "not run"],
        ["setup", took(test.setup)], ["test", took(test.call)], ["teardown", took(test.teardown)], ["worker", test.worker], ["attempts", test.attempts > 1 ? String(test.attempts) : null],
        ["run", this.model.several ? test.run.id : null]]),
      siblings.length ? make("div", {}, make("h3", {}, "The same test elsewhere"), make("div", { class: "chips" }, siblings.map((one) =>
        make("button", { type: "button", class: "chip", onclick: () => this.actions.openTest(one) }, make("span", { class: `glyph ${one.outcome}`, "aria-hidden": "true" }, WORDS[one.outcome][0]),
          `${one.environment || "none"}${this.model.several ? ` (${one.run.id})` : ""}`, make("span", { class: "unseen" }, WORDS[one.outcome][1]))))) : null,
      this.jumps(sections), sections,
      BAD.has(test.outcome) && !sections.length ? make("p", { class: "empty" }, "Nothing more is known.") : null);
  }

  environment(environment) {
    const bad = environment.tests.filter((test) => BAD.has(test.outcome)), start = environment.run.started;
    const failure = environment.failures[0];
    const logs = environment.failures.filter((one) => one.service_lines.length).map((one) => this.section(`last lines of ${one.service}`, one.service_lines.join("\n"), true));
    if (environment.log_lines.length) logs.push(this.section(`end of the log`, environment.log_lines.join("\n"), true));
    const spans = (name, list) => list.length ? make("div", {}, make("h3", {}, name), make("table", {},
      make("thead", {}, make("tr", {}, make("th", {}, "what"), make("th", { class: "number" }, "began"), make("th", { class: "number" }, "took"), make("th", {}, ""))),
      make("tbody", {}, list.map((span) => make("tr", {}, make("td", {}, span.name), make("td", { class: "number" }, `+${took(span.started - start)}`),
        make("td", { class: "number" }, span.finished ? took(span.finished - span.started) : "not over"), make("td", { class: span.ok === false ? "bad" : "" }, span.ok === false ? `failed${span.cause || span.detail ? ": " : ""}${span.cause || span.detail || ""}` : span.detail || "")))))) : null;
    this.fill([verdictOf(environment), make("span", { class: "mode" }, environment.mode)], environment.name,
      `profile ${environment.profile}${this.model.several ? `, run ${environment.run.id}` : ""}`,
      environment.failures.map(whyBox),
      failure && this.pairs([["class", failure.kind], ["guilty", failure.component], ["phase", failure.phase]]),
      this.jumps(logs), logs,
      bad.length ? make("div", { class: "tests" }, make("h3", {}, `${count(bad.length, "failed test")}`), make("ul", {}, bad.slice(0, 200).map((test) => make("li", {}, make("span", { class: test.outcome, "aria-hidden": "true" }, WORDS[test.outcome][0]),
        make("a", { href: `#test=${encodeURIComponent(test.id)}`, onclick: (event) => { event.preventDefault(); this.actions.openTest(test); } }, test.scenario), make("span", { class: "message" }, test.message)))),
        bad.length > 200 && make("p", {}, `and ${bad.length - 200} more, in the grid`)) : null,
      spans("Phases", [...environment.waits, ...environment.phases]), spans("Steps and commands", environment.steps), spans("Services", environment.services),
      environment.events.length ? make("div", {}, make("h3", {}, "Events"), make("table", {}, make("tbody", {}, environment.events.slice(0, 500).map((event) => make("tr", {},
        make("td", { class: "number" }, `+${took(event.at - start)}`), make("td", {}, event.subject), make("td", { class: event.bad ? "bad" : "" }, event.text)))))) : null,
      this.pairs([["log", environment.log]]));
  }
}
