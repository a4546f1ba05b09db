// The first screen: the verdict, and one card for each environment.

function showHead(model) {
  const runs = model.runs, failed = model.environments.filter((environment) => environment.ok === false);
  const bad = model.tests.filter((test) => BAD.has(test.outcome)).length;
  const interrupted = runs.some((run) => run.interrupted), wrong = runs.some((run) => run.exit_code !== 0);
  const outcome = wrong || failed.length ? "failed" : "passed";
  const title = interrupted ? "Interrupted" : outcome === "failed" ? "Failed" : "Passed";
  const what = [];
  if (failed.length) what.push(`${failed.length} of ${count(model.environments.length, "environment")} failed`);
  if (bad) what.push(`${bad.toLocaleString("en")} of ${count(model.tests.length, "test")} failed`);
  if (!what.length) what.push(`${count(model.tests.length, "test")} on ${count(model.environments.length, "environment")}`);
  const notRun = model.tests.filter((test) => test.outcome === "not_run").length;
  if (notRun) what.push(`${notRun.toLocaleString("en")} not run`);
  document.title = `${title}: ${what.join(", ")}`;
  const first = runs[0];
  const facts = model.several
    ? [["runs", runs.length], ["from", day(first.started)], ["to", day(Math.max(...runs.map((run) => run.finished)))]]
    : [["run", first.id], ["began", day(first.started)], ["took", took(first.finished - first.started)], ["exit code", first.exit_code]];
  byId("head").append(
    make("div", { class: "verdict" }, badge(interrupted ? "not_run" : outcome, title), make("h1", {}, what.join(" · "))),
    make("div", { class: "facts" }, facts.map(([name, value]) => make("span", {}, `${name} `, make("b", {}, String(value))))),
    make("div", { class: "facts" },
      make("span", {}, "command ", make("code", {}, first.command.join(" "))),
      make("span", {}, `Python ${first.python}, pytest ${first.pytest}, plugin ${first.plugin}`)));
}

function phaseBar(environment) {
  const total = environment.phases.reduce((sum, phase) => sum + Math.max((phase.finished || phase.started) - phase.started, 0), 0) || 1;
  return make("div", { class: "phases", "aria-hidden": "true" }, environment.phases.map((phase) => {
    const seconds = (phase.finished || phase.started) - phase.started;
    return make("span", {
      style: { flex: `${Math.max(seconds / total, 0.004)} 0 0`, background: `var(--${phaseKind(environment, phase)})` },
      title: `${phase.name}: ${took(seconds)}`,
    });
  }));
}

function phaseLegend(environment) {
  return make("div", { class: "legend" }, environment.phases.map((phase) => make("span", {},
    make("i", { style: { background: `var(--${phaseKind(environment, phase)})` } }),
    `${phase.name} ${phase.finished ? took(phase.finished - phase.started) : "not over"}`)));
}

function whyBox(failure) {
  return make("div", { class: "why" },
    make("b", {}, failure.test ? "A test failed" : `Failed in ${failure.phase}`, failure.kind ? ` · ${failure.kind}` : ""),
    make("p", {}, failure.cause),
    failure.remedy && make("p", { class: "remedy" }, failure.remedy));
}

function showCards(model, openEnvironment) {
  const cards = document.querySelector("#environments .cards");
  for (const environment of model.environments) {
    const state = environment.ok === null ? "none" : environment.ok ? "good" : "bad";
    cards.append(make("button", { class: `card ${state}`, type: "button", "data-environment": environment.name,
      "aria-haspopup": "dialog", onclick: () => openEnvironment(environment) },
      make("span", { class: "top" }, verdictOf(environment), make("span", { class: "name" }, environment.name),
        make("span", { class: "mode" }, environment.mode)),
      environment.phases.length ? phaseBar(environment) : null,
      environment.phases.length ? phaseLegend(environment) : null,
      environment.failures.slice(0, 1).map(whyBox),
      make("span", { class: "counts" }, countsOf(environment.tests).map(([outcome, number]) => badge(outcome, tally(outcome, number)))),
      model.several && make("span", { class: "mode" }, environment.run.id)));
  }
  if (!model.environments.length) cards.append(make("p", { class: "empty" }, "No environment was selected."));
}
