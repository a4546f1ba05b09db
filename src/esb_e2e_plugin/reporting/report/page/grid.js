// Results as a grid, test by environment. Only the rows that can be seen are there.

const ROW = 30, HEADER = 36, MORE = 12;

class Grid {
  constructor(root, model, openTest, openColumn) {
    this.model = model; this.openTest = openTest; this.openColumn = openColumn;
    this.row = -1; this.col = 0; this.lines = []; this.columns = model.columns;
    this.count = make("span", { "data-shown": "" });
    this.orders = [["failures", "failures first"], ["file", "by file"], ["slowest", "slowest first"]].map(([name, text]) =>
      make("button", { type: "button", class: "chip", "data-order": name, "aria-pressed": "false" }, text));
    this.next = make("button", { type: "button", class: "plain", title: "Next failure (n)", onclick: () => this.step(1) }, "next failure");
    this.box = make("div", { class: "grid", tabindex: "0", role: "grid", "aria-label": "Results, test by environment" });
    root.append(make("div", { class: "tools" }, make("div", { class: "chips", role: "group", "aria-label": "Order" }, this.orders), this.next, this.count,
      make("span", { class: "spacer" }), make("span", { class: "hint" }, "arrows move, Enter opens, n and p go to failures, / searches")), this.box);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("click", (event) => this.clicked(event));
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("focus", () => { if (this.row < 0) this.go(this.firstRow(0, 1), 0); });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  show(state) {
    const { outcomes, environments, query, order } = state;
    for (const button of this.orders) button.setAttribute("aria-pressed", String(button.dataset.order === order));
    this.columns = this.model.columns.filter((name) => !environments.size || environments.has(name));
    this.outcomes = outcomes;
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = this.model.rows.filter((row) => words.every((word) => row.text.includes(word)) &&
      this.columns.some((name) => (row.cells.get(name) || []).some((test) => !outcomes.size || outcomes.has(test.outcome))));
    const sorted = matching.slice();
    if (order === "failures") sorted.sort((a, b) => this.rank(a) - this.rank(b));
    if (order === "slowest") sorted.sort((a, b) => b.seconds - a.seconds);
    this.lines = order === "file" ? this.grouped(sorted) : sorted.map((row) => ({ row }));
    this.found = matching.length;
    this.row = -1;
    this.count.textContent = `${matching.length.toLocaleString("en")} of ${count(this.model.rows.length, "test")}`;
    this.next.hidden = !this.lines.some((line) => line.row && this.isBad(line.row));
    this.box.setAttribute("aria-rowcount", this.lines.length + 1);
    this.box.setAttribute("aria-colcount", this.columns.length + 1);
    this.box.scrollTop = 0;
    this.build();
  }

  rank(row) { // what fails in what is shown, not anywhere
    let worst = OUTCOMES.length;
    for (const name of this.columns) for (const test of row.cells.get(name) || [])
      worst = Math.min(worst, fails(test) ? 0 : test.folded ? 1 : OUTCOMES.indexOf(test.outcome));
    return worst;
  }
  isBad(row) { return this.columns.some((name) => (row.cells.get(name) || []).some((test) => BAD.has(test.outcome))); }

  grouped(rows) {
    const files = new Map();
    for (const row of rows) (files.get(row.file) || files.set(row.file, []).get(row.file)).push(row);
    return [...files].flatMap(([file, own]) => [{ file, own }, ...own.map((row) => ({ row }))]);
  }

  build() {
    this.box.style.setProperty("--columns", `minmax(14rem, 1fr) repeat(${this.columns.length}, minmax(6.4rem, 9.5rem))`);
    this.box.style.setProperty("--width", `max(100%, ${14 + 6.4 * this.columns.length}rem)`);
    const header = make("div", { class: "row header", role: "row", "aria-rowindex": 1 }, make("div", { class: "first", role: "columnheader" }, "test"),
      this.columns.map((name) => make("div", { class: "column", role: "columnheader" }, name === NOWHERE
        ? make("span", { title: "tests that need no environment" }, "none")
        : make("button", { type: "button", tabindex: "-1", title: name, onclick: () => this.openColumn(name) }, name))));
    this.body = make("div", { role: "rowgroup" });
    this.body.style.height = `${this.lines.length * ROW}px`;
    this.body.style.position = "relative";
    this.box.replaceChildren(header, this.lines.length ? this.body : make("p", { class: "empty" }, "No test matches."));
    this.box.style.height = `${Math.max(HEADER + this.lines.length * ROW + 2, 110)}px`;
    this.drawn = null;
    this.draw();
  }

  draw() {
    if (!this.body) return;
    const from = Math.max(0, Math.floor(this.box.scrollTop / ROW) - MORE);
    const to = Math.min(this.lines.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + MORE);
    if (this.drawn && this.drawn[0] === from && this.drawn[1] === to) return;
    this.drawn = [from, to];
    const rows = [];
    for (let index = from; index < to; index++) rows.push(this.line(index));
    this.body.replaceChildren(...rows);
    this.mark();
  }

  line(index) {
    const { row, file, own } = this.lines[index], top = `${index * ROW}px`;
    if (!row) {
      const bad = own.filter((one) => this.isBad(one)).length;
      return make("div", { class: "row file", role: "row", "aria-rowindex": index + 2, style: { top } },
        make("div", { class: "first", role: "rowheader" }, make("span", { class: "what", title: file }, file), make("span", { class: "where" }, count(own.length, "test"), bad ? ` · ${bad} failed` : "")),
        this.columns.map(() => make("div", { role: "gridcell" })));
    }
    return make("div", { class: "row", role: "row", "aria-rowindex": index + 2, style: { top } },
      make("div", { class: "first", role: "rowheader", title: row.scenario }, make("span", { class: "what" }, row.name), make("span", { class: "where" }, row.file)),
      this.columns.map((name, column) => this.cell(row, name, index, column)));
  }

  cell(row, name, index, column) {
    const tests = row.cells.get(name), facts = { role: "gridcell", id: `cell-${index}-${column}`, "data-row": index, "data-column": column };
    if (!tests) return make("div", { ...facts, class: "cell nothing", "aria-label": "not in this environment" });
    const [test] = tests, [glyph, word] = WORDS[test.outcome], seconds = test.call || test.setup;
    const faded = this.outcomes.size && !tests.some((one) => this.outcomes.has(one.outcome)) ? " faded" : "";
    return make("div", { ...facts, class: `cell ${test.outcome}${test.folded ? " folded" : ""}${faded}`, "data-outcome": test.outcome, "aria-label": `${word}, ${took(seconds)}`, title: test.message ? `${word}: ${test.message}` : word },
      make("span", { class: "glyph", "aria-hidden": "true" }, glyph),
      make("span", { class: "took" }, tests.length > 1 ? `×${tests.length}` : test.outcome === "not_run" ? "" : test.folded ? "env failed" : BAD.has(test.outcome) && !test.call ? word : took(seconds)));
  }

  mark() {
    for (const cell of this.body.querySelectorAll(".current")) cell.classList.remove("current");
    const cell = byId(`cell-${this.row}-${this.col}`);
    if (cell) { cell.classList.add("current"); this.box.setAttribute("aria-activedescendant", cell.id); }
  }

  clicked(event) {
    const cell = event.target.closest("[data-row]");
    if (!cell || cell.classList.contains("nothing")) return;
    this.row = Number(cell.dataset.row); this.col = Number(cell.dataset.column);
    this.mark(); this.open();
  }
  open() {
    const line = this.lines[this.row], tests = line && line.row && line.row.cells.get(this.columns[this.col]);
    if (tests) this.openTest(tests[0]);
  }

  firstRow(from, by) {
    for (let index = from; index >= 0 && index < this.lines.length; index += by) if (this.lines[index].row) return index;
    return -1;
  }
  go(row, column) {
    if (row < 0) return;
    this.row = row; this.col = Math.min(Math.max(column, 0), this.columns.length - 1);
    const top = this.row * ROW, seen = this.box.clientHeight - HEADER;
    if (top < this.box.scrollTop) this.box.scrollTop = Math.max(0, top - ROW);
    else if (top + ROW > this.box.scrollTop + seen) this.box.scrollTop = top + 2 * ROW - seen;
    this.draw(); this.mark();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.box) return;
    const page = Math.max(1, Math.floor((this.box.clientHeight - HEADER) / ROW) - 1), last = this.lines.length - 1;
    const act = {
      ArrowDown: () => this.go(this.firstRow(this.row + 1, 1), this.col), ArrowUp: () => this.go(this.firstRow(this.row - 1, -1), this.col),
      ArrowRight: () => this.go(this.row, this.col + 1), ArrowLeft: () => this.go(this.row, this.col - 1),
      PageDown: () => this.go(this.firstRow(Math.min(this.row + page, last), -1), this.col), PageUp: () => this.go(this.firstRow(Math.max(this.row - page, 0), 1), this.col),
      Home: () => this.go(this.firstRow(0, 1), this.col), End: () => this.go(this.firstRow(last, -1), this.col),
      Enter: () => this.open(), " ": () => this.open(),
    }[event.key];
    if (act) { act(); event.preventDefault(); }
  }

  // All cells with a failure, in the order of the rows: where `n` and `p` go.
  failures() {
    if (this.badCells && this.badCells.lines === this.lines) return this.badCells;
    let found = [];
    this.lines.forEach(({ row }, index) => row && this.columns.forEach((name, column) => {
      const tests = row.cells.get(name);
      if (tests && BAD.has(tests[0].outcome)) found.push({ index, column, test: tests[0] });
    }));
    const own = found.filter((cell) => !cell.test.folded);
    if (own.length) found = own;
    found.lines = this.lines;
    return (this.badCells = found);
  }
  step(by, open = false) {
    const found = this.failures();
    if (!found.length) return;
    const at = (cell) => cell.index * 1000 + cell.column, here = this.row < 0 ? -1 : this.row * 1000 + this.col;
    const next = by > 0 ? found.find((cell) => at(cell) > here) || found[0] : [...found].reverse().find((cell) => at(cell) < here) || found[found.length - 1];
    this.go(next.index, next.column);
    this.box.classList.add("keys");
    if (open) this.openTest(next.test); else this.box.focus({ preventScroll: false });
  }
  select(test) {
    const index = this.lines.findIndex(({ row }) => row && row.scenario === test.scenario), column = this.columns.indexOf(test.environment);
    if (index >= 0 && column >= 0) this.go(index, column);
  }
}
