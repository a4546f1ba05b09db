// What the reader chooses, and where the page is.

function start() {
  const model = load(byId("data").textContent);
  byId("data").remove(); // it is not needed twice
  const state = { query: "", outcomes: new Set(), environments: new Set(), order: model.tests.some((test) => BAD.has(test.outcome)) ? "failures" : "file" };
  let quiet = false;
  const hash = (text) => { quiet = true; try { history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search); } catch { location.hash = text; } quiet = false; };
  const actions = {
    openTest(test) {
      const runs = model.tests.filter((one) => one.id === test.id).length > 1 ? `&run=${encodeURIComponent(test.run.id)}` : "";
      hash(`test=${encodeURIComponent(test.id)}${runs}`);
      panel.test(test); grid.select(test);
    },
    openEnvironment(environment) {
      hash(`environment=${encodeURIComponent(environment.name)}${model.several ? `&run=${encodeURIComponent(environment.run.id)}` : ""}`);
      panel.environment(environment);
    },
    openColumn(name) { actions.openEnvironment(model.environments.find((one) => one.name === name)); },
    step(by) { grid.step(by, true); },
    closed() { hash(""); grid.box.focus({ preventScroll: true }); },
  };
  const panel = new Panel(model, actions);
  showHead(model);
  showCards(model, actions.openEnvironment);
  const timeline = new Timeline(byId("timeline"), model, actions.openTest, actions.openEnvironment);
  const grid = new Grid(byId("results"), model, actions.openTest, actions.openColumn);
  const apply = () => { grid.show(state); announce(`${count(grid.found, "test")} shown`); };
  const filters = showFilters(model, state, () => { timeline.only(state.environments); apply(); });
  for (const button of grid.orders) button.addEventListener("click", () => { state.order = button.dataset.order; apply(); });
  const follow = () => {
    const wanted = new URLSearchParams(location.hash.slice(1)), fits = (one) => !wanted.has("run") || one.run.id === wanted.get("run");
    const test = wanted.has("test") && model.tests.find((one) => one.id === wanted.get("test") && fits(one));
    const environment = wanted.has("environment") && model.environments.find((one) => one.name === wanted.get("environment") && fits(one));
    if (test) actions.openTest(test); else if (environment) actions.openEnvironment(environment);
  };
  window.addEventListener("hashchange", () => quiet || follow());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || panel.dialog.open || event.target.closest("input, canvas")) return;
    if (event.key === "/") { filters.input.focus(); event.preventDefault(); }
    if (event.key === "n") grid.step(1);
    if (event.key === "p") grid.step(-1);
  });
  useTheme(filters.theme, () => timeline.draw());
  document.querySelector("[data-skip]").addEventListener("click", (event) => { event.preventDefault(); byId("results").scrollIntoView(); grid.box.focus({ preventScroll: true }); });
  window.addEventListener("beforeprint", () => showPrinted(model));
  grid.show(state);
  follow();
  document.documentElement.dataset.ready = "true";
}

function showFilters(model, state, changed) {
  const toggle = (set, value) => { if (!set.delete(value)) set.add(value); };
  const input = make("input", { type: "search", placeholder: "find tests and messages", "aria-label": "Find tests and messages", spellcheck: "false", autocomplete: "off" });
  const chip = (set, value, ...content) => {
    const button = make("button", { type: "button", class: "chip", "aria-pressed": "false", "data-filter": value, onclick: () => { toggle(set, value); button.setAttribute("aria-pressed", String(set.has(value))); update(); } }, content);
    return button;
  };
  const outcomes = countsOf(model.tests).map(([outcome, number]) => chip(state.outcomes, outcome,
    make("span", { class: `glyph ${outcome}`, "aria-hidden": "true" }, WORDS[outcome][0]), outcome.replace("_", " "), make("b", {}, number.toLocaleString("en"))));
  const environments = model.columns.length > 1 ? model.columns.map((name) => chip(state.environments, name, name || "none")) : [];
  const clear = make("button", { type: "button", class: "plain", disabled: true, onclick: () => {
    state.outcomes.clear(); state.environments.clear(); input.value = state.query = "";
    for (const button of [...outcomes, ...environments]) button.setAttribute("aria-pressed", "false");
    update();
  } }, "clear");
  const update = () => { clear.disabled = !(state.outcomes.size || state.environments.size || state.query); changed(); };
  let waiting = null;
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => { state.query = input.value; update(); }, 80); });
  input.addEventListener("keydown", (event) => { if (event.key === "Escape") { input.value = state.query = ""; update(); input.blur(); } });
  const theme = make("button", { type: "button", class: "plain", "data-theme": "" });
  byId("filters").append(make("div", { class: "filters" }, input,
    make("div", { class: "chips", role: "group", "aria-label": "Outcomes" }, outcomes),
    make("div", { class: "chips", role: "group", "aria-label": "Environments" }, environments),
    clear, make("span", { class: "spacer" }), theme));
  return { input, theme };
}

function useTheme(button, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)"), printing = matchMedia("print");
  let chosen = null;
  const apply = () => {
    const dark = !printing.matches && (chosen === null ? system.matches : chosen === "dark");
    document.documentElement.classList.toggle("dark", dark);
    button.textContent = dark ? "light" : "dark";
    button.setAttribute("aria-label", `Use the ${dark ? "light" : "dark"} theme`);
    changed();
  };
  button.addEventListener("click", () => { chosen = document.documentElement.classList.contains("dark") ? "light" : "dark"; apply(); });
  system.addEventListener("change", apply);
  printing.addEventListener("change", apply);
  apply();
}

// Paper has no clicks: every failed test with its message, the first ones with what is known of them.
function showPrinted(model) {
  const bad = model.tests.filter((test) => BAD.has(test.outcome));
  const table = make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, "test"), model.columns.map((name) => make("th", {}, name || "none")))),
    make("tbody", {}, model.rows.filter((row) => row.worst < 3).slice(0, 500).map((row) => make("tr", {}, make("td", {}, row.scenario),
      model.columns.map((name) => { const tests = row.cells.get(name); return make("td", { class: tests ? tests[0].outcome : "" }, tests ? WORDS[tests[0].outcome][1] : ""); })))));
  const counts = countsOf(model.tests).map(([outcome, number]) => tally(outcome, number)).join(", ");
  byId("printed").replaceChildren(make("h2", {}, bad.length ? "Failed tests" : "All tests went well"), make("p", {}, counts), bad.length ? table : "",
    ...bad.slice(0, 40).map((test) => make("div", { class: "one" }, make("h3", {}, test.id), make("p", {}, test.message),
      ...test.sections.slice(0, 3).map(([title, text]) => make("div", {}, make("b", {}, title), make("pre", {}, text.split("\n").slice(-40).join("\n")))))));
}

start();
