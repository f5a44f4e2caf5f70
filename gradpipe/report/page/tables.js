// Tables: filled for what is chosen, sorted by a click on a heading, searched by text.
const FEW_ROWS = 100;
const states = new Map();

const stateOf = (name) => {
  if (!states.has(name)) states.set(name, { column: null, down: false, all: false });
  return states.get(name);
};

// The example table is reckoned here; the others come as they stand in their files, three digits.
const exampleCells = async ({ model, benchmark }) => {
  const rows = await rowsOf(["examples", model, benchmark]);
  const total = rows[0]?.total ?? 0;
  const cut = rows.length < total ? ` Here are the ${shown(rows.length / 2)} with the largest and the ${shown(rows.length / 2)} with the smallest gradients of ${shown(total)}.` : "";
  byId("examples-cut").textContent = cut;
  return rows.map((row) => [
    shown(row.index), labelled("style", row.style), row.relevance,
    ...[row.response_tokens, row.tokens, row.loss, row.nuclear_norm, row.effective_rank, row.sigma1_ratio].map(shown),
  ]);
};

const wantedIn = (choice) => {
  const statements = index.claims.filter((one) => one.group === choice.claim).map((one) => one.statement);
  const twins = index.twins[Number(choice.twins ?? 0)];
  return {
    model: choice.model && [choice.model],
    benchmark: choice.benchmark && [choice.benchmark],
    base: twins && [twins.base],
    tuned: twins && [twins.tuned],
    statement: choice.claim && statements,
  };
};

const chosenCells = async (name) => {
  const choice = picked();
  if (name === "examples") return exampleCells(choice);
  const { statistics, picked: columns } = index.tables[name];
  const wanted = wantedIn(choice);
  const tests = Object.entries(columns).filter(([column]) => wanted[column]);
  const cells = await cellsOf(name, statistics.length ? choice.statistic : "");
  return cells.filter((row) => tests.every(([column, place]) => wanted[column].includes(row[place])));
};

const compareCells = (a, b) => {
  const [x, y] = [numberIn(a), numberIn(b)];
  if (x !== null && y !== null) return x - y;
  if (x !== null || y !== null) return x === null ? 1 : -1;
  return a.localeCompare(b, undefined, { numeric: true });
};

const sorted = (rows, { column, down }) => {
  if (column === null) return rows;
  const gone = (row) => row[column] === "–";
  const way = down ? -1 : 1;
  return [...rows].sort((a, b) => gone(a) - gone(b) || way * compareCells(a[column], b[column]));
};

const searched = (rows, name) => {
  const words = (document.querySelector(`[data-search="${name}"]`)?.value ?? "").toLowerCase().split(/\s+/);
  return rows.filter((row) => {
    const text = row.join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
};

const lineOf = (cells, heads) => {
  const line = document.createElement("tr");
  cells.forEach((text, place) => {
    const cell = document.createElement(place < heads ? "th" : "td");
    if (place < heads) cell.scope = "row";
    cell.textContent = text;
    line.append(cell);
  });
  return line;
};

const fillTable = async (name) => {
  const table = byId(`table-${name}`);
  const state = stateOf(name);
  const rows = searched(await chosenCells(name), name);
  const most = state.all ? rows.length : FEW_ROWS;
  const lines = sorted(rows, state).slice(0, most);
  table.tBodies[0].replaceChildren(...lines.map((cells) => lineOf(cells, Number(table.dataset.heads))));
  for (const heading of table.querySelectorAll("th[data-column]")) {
    if (Number(heading.dataset.column) !== state.column) heading.removeAttribute("aria-sort");
    else heading.setAttribute("aria-sort", state.down ? "descending" : "ascending");
  }
  const count = document.querySelector(`[data-count="${name}"]`);
  count.textContent = rows.length > most
    ? `${shown(most)} of ${shown(rows.length)} rows.`
    : `${shown(rows.length)} row${rows.length === 1 ? "" : "s"}.`;
  document.querySelector(`[data-all="${name}"]`).hidden = rows.length <= most;
  return rows.length;
};

const drawnTables = () => all("table[data-drawn]").map((table) => table.id.replace(/^table-/, ""));

const fillTables = async () => {
  const { statistic } = picked();
  for (const span of all('[data-say="statistic"]')) span.textContent = labelled("statistic", statistic);
  await Promise.all(drawnTables().map(fillTable));
};

const sortBy = async (name, column) => {
  const state = stateOf(name);
  state.down = state.column === column ? !state.down : false;
  state.column = column;
  await fillTable(name);
  const heading = document.querySelector(`#table-${name} th[data-column="${column}"]`);
  say(`Sorted by ${heading.textContent.trim()}, ${state.down ? "largest" : "smallest"} first.`);
};

const wireTables = () => {
  for (const button of all("th[data-column] button")) {
    const heading = button.closest("th");
    const name = button.closest("table").id.replace(/^table-/, "");
    button.addEventListener("click", () => sortBy(name, Number(heading.dataset.column)));
  }
  for (const box of all("[data-search]")) {
    box.addEventListener("input", async () => {
      const rows = await fillTable(box.dataset.search);
      say(`${rows} rows found.`);
    });
  }
  for (const button of all("[data-all]")) {
    button.addEventListener("click", async () => {
      stateOf(button.dataset.all).all = true;
      say(`All ${await fillTable(button.dataset.all)} rows are shown.`);
      document.querySelector(`#table-${button.dataset.all}`).closest(".scroll").focus();
    });
  }
};
