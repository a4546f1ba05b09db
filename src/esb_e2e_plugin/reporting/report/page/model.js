"use strict";
// The record of the run, unpacked, and the ways that the page looks at it.

const OUTCOMES = ["failed", "error", "crashed", "xpassed", "not_run", "xfailed", "skipped", "passed"];
const BAD = new Set(["failed", "error", "crashed"]);
const WORDS = {
  failed: ["✗", "failed"], error: ["!", "error"], crashed: ["↯", "crashed"], xpassed: ["✓", "passed, expected to fail"],
  not_run: ["·", "not run"], xfailed: ["✗", "failed as expected"], skipped: ["–", "skipped"], passed: ["✓", "passed"],
};
const NOWHERE = ""; // the column of tests that need no environment

function column(values, index) {
  return Array.isArray(values) ? values[index] : values;
}

function nodeId(scenario, profile) {
  if (profile === null) return scenario;
  const at = scenario.indexOf("[");
  return at < 0 ? `${scenario}[${profile}]` : `${scenario.slice(0, at)}[${profile}-${scenario.slice(at + 1)}`;
}

function unpackTests(run, texts) {
  const packed = run.tests, tests = [];
  const seconds = (values, index) => column(values, index) / 1000;
  for (let index = 0; index < packed.count; index++) {
    const at = column(packed.environment, index);
    const environment = at < 0 ? null : run.environments[at];
    const scenario = texts[column(packed.scenario, index)];
    const worker = column(packed.worker, index), started = column(packed.started, index);
    const exception = packed.id[index], sections = packed.sections[index];
    tests.push({
      run, scenario, environment: environment ? environment.name : NOWHERE,
      id: exception === undefined ? nodeId(scenario, environment ? environment.profile : null) : texts[exception],
      outcome: OUTCOMES[column(packed.outcome, index)],
      file: texts[column(packed.file, index)],
      line: column(packed.line, index), failedLine: column(packed.failed_line, index),
      worker: worker < 0 ? null : texts[worker],
      started: started === null ? null : run.started + started / 1000,
      setup: seconds(packed.setup, index), call: seconds(packed.call, index), teardown: seconds(packed.teardown, index),
      attempts: packed.attempts[index] || 1,
      message: texts[column(packed.message, index)],
      sections: sections ? sections.map(([title, text]) => [texts[title], texts[text]]) : [],
    });
  }
  for (const test of tests) // what fails only because its environment did is told by that one
    test.folded = test.outcome === "error" && test.message.startsWith(`[${test.environment}] failed in `);
  return tests;
}

const fails = (test) => BAD.has(test.outcome) && !test.folded;

function rowsOf(tests) {
  const rows = new Map();
  for (const test of tests) {
    let row = rows.get(test.scenario);
    if (!row) {
      const [file, ...names] = test.scenario.split("::");
      row = { scenario: test.scenario, file, name: names.join(" › ") || file, cells: new Map(), worst: OUTCOMES.length, seconds: 0 };
      row.text = test.scenario.toLowerCase();
      rows.set(test.scenario, row);
    }
    const cell = row.cells.get(test.environment);
    if (cell) cell.push(test); else row.cells.set(test.environment, [test]);
    row.worst = Math.min(row.worst, OUTCOMES.indexOf(test.outcome));
    row.seconds = Math.max(row.seconds, test.call);
    if (test.message) row.text += "\n" + test.message.toLowerCase();
  }
  for (const row of rows.values())
    for (const cell of row.cells.values()) cell.sort((a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome));
  return [...rows.values()];
}

function load(text) {
  const data = JSON.parse(text), runs = data.runs, tests = [];
  for (const run of runs) {
    run.list = unpackTests(run, data.texts);
    for (const test of run.list) tests.push(test);
    for (const environment of run.environments) {
      environment.run = run;
      environment.tests = run.list.filter((test) => test.environment === environment.name);
    }
  }
  const environments = runs.flatMap((run) => run.environments);
  const columns = [...new Set(environments.map((environment) => environment.name))];
  if (tests.some((test) => test.environment === NOWHERE)) columns.push(NOWHERE);
  return { runs, tests, environments, columns, rows: rowsOf(tests), several: runs.length > 1 };
}

// A phase that went wrong stands out; one in which only tests failed does not: they stand out themselves.
function phaseKind(environment, phase) {
  const onlyTests = phase.name === "test" && environment.failures.length && environment.failures[0].test;
  return phase.ok === false && !onlyTests ? "fault" : phase.name;
}

function countsOf(tests) {
  const found = {};
  for (const test of tests) found[test.outcome] = (found[test.outcome] || 0) + 1;
  return OUTCOMES.filter((outcome) => found[outcome]).map((outcome) => [outcome, found[outcome]]);
}

function endOf(environment) {
  let end = environment.run.started;
  for (const span of [...environment.phases, ...environment.waits, ...environment.steps, ...environment.services])
    end = Math.max(end, span.finished || span.started);
  for (const test of environment.tests)
    if (test.started !== null) end = Math.max(end, test.started + test.setup + test.call + test.teardown);
  return end;
}
