// Tables: filled for the reader's choice, sorted by a click on a heading, searched by text.
// A row is a list of values as the page's data has them; they become text only in the cells.
const FIRST_ROWS = 100;
const states = new Map();

const stateOf = (name) => {
  if (!states.has(name)) states.set(name, { column: null, descending: false, all: false });
  return states.get(name);
};

const exampleRows = async ({ model, benchmark }) => {
  const rows = await exampleBlock(model, benchmark);
  const total = rows[0]?.total ?? 0;
  const detailed = new Set((await rowsOf(["details", model, benchmark])).map((row) => row.position));
  const excerpt = [];
  if (rows.length < total) {
    excerpt.push(`These are ${formatCount(rows.length)} of ${formatCount(total)}: those with the largest and the smallest gradients, and some between.`);
  }
  if (detailed.size && detailed.size < rows.length) {
    excerpt.push(`The page has details of ${formatCount(detailed.size)} of them, of all sizes: their item can be pressed.`);
  }
  byId("examples-excerpt").textContent = excerpt.map((sentence) => ` ${sentence}`).join("");
  const { columns } = index.tables.examples;
  return rows.map((row) => Object.assign(columns.map((column) => row[column]),
    detailed.has(row.position) ? { position: row.position } : {}));
};

const wantedValues = (choice) => {
  const statements = index.claims.filter((part) => part.group === choice.claim).map((part) => part.statement);
  const twins = index.twins[Number(choice.twins ?? 0)];
  return {
    model: choice.model && [choice.model],
    benchmark: choice.benchmark && [choice.benchmark],
    base: twins && [twins.base],
    tuned: twins && [twins.tuned],
    statement: choice.claim && statements,
  };
};

const chosenRows = async (name) => {
  const choice = currentChoice();
  if (name === "examples") return exampleRows(choice);
  const { statistics, picked } = index.tables[name];
  const wanted = wantedValues(choice);
  const tests = Object.entries(picked).filter(([column]) => wanted[column]);
  const rows = await tableRows(name, statistics.length ? choice.statistic : "");
  const isShown = (row) => tests.every(([column, position]) =>
    wanted[column].includes(row[position]) || (column === "model" && !isPickable(row[position])));
  return rows.filter(isShown);
};

const compareValues = (a, b, kind) => {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return formatValue(a, kind).localeCompare(formatValue(b, kind), undefined, { numeric: true });
};

// Missing values come last in both directions.
const sortRows = (rows, { column, descending }, kinds) => {
  if (column === null) return rows;
  const isMissing = (row) => row[column] === null || row[column] === undefined;
  const direction = descending ? -1 : 1;
  return [...rows].sort((a, b) => isMissing(a) - isMissing(b)
    || direction * compareValues(a[column], b[column], kinds[column]));
};

// The thin spaces in numbers are ignored: 1234 finds the item that is shown with one.
const searchable = (text) => text.toLowerCase().replaceAll("\u202f", "");

const searchRows = (rows, name, kinds) => {
  const words = searchable(document.querySelector(`[data-search="${name}"]`)?.value ?? "").split(/\s+/);
  return rows.filter((row) => {
    const text = searchable(row.map((value, column) => formatValue(value, kinds[column])).join(" "));
    return words.every((word) => text.includes(word));
  });
};

// A button in the first cell of the row of an example with details, which shows that example.
const exampleButton = (row, text) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "show";
  button.textContent = text;
  button.setAttribute("aria-label", `${text}, ${labelOf("style", row[1])}, ${row[2]}: show this example`);
  button.addEventListener("click", async () => {
    await showExample(row.position);
    byId("clicked-example").scrollIntoView({ block: "nearest" });
  });
  return button;
};

const tableLine = (row, { heads, kinds }) => {
  const line = document.createElement("tr");
  row.forEach((value, column) => {
    const cell = document.createElement(column < heads ? "th" : "td");
    if (column < heads) cell.scope = "row";
    if (typeof value === "number") cell.dataset.value = value;
    const text = formatValue(value, kinds[column]);
    cell.append(column === 0 && row.position !== undefined ? exampleButton(row, text) : text);
    line.append(cell);
  });
  return line;
};

const fillTable = async (name) => {
  const table = byId(`table-${name}`);
  const state = stateOf(name);
  const description = index.tables[name];
  const rows = searchRows(await chosenRows(name), name, description.kinds);
  const limit = state.all ? rows.length : FIRST_ROWS;
  const lines = sortRows(rows, state, description.kinds).slice(0, limit);
  table.tBodies[0].replaceChildren(...lines.map((row) => tableLine(row, description)));
  for (const heading of table.querySelectorAll("th[data-column]")) {
    if (Number(heading.dataset.column) !== state.column) heading.removeAttribute("aria-sort");
    else heading.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
  }
  const count = document.querySelector(`[data-count="${name}"]`);
  count.textContent = rows.length > limit
    ? `${formatCount(limit)} of ${formatCount(rows.length)} rows.`
    : `${formatCount(rows.length)} row${rows.length === 1 ? "" : "s"}.`;
  document.querySelector(`[data-all="${name}"]`).hidden = rows.length <= limit;
  return rows.length;
};

const filledTables = () => all("table[data-filled]").map((table) => table.id.replace(/^table-/, ""));

const fillTables = async () => {
  const { statistic } = currentChoice();
  for (const span of all('[data-label="statistic"]')) span.textContent = labelOf("statistic", statistic);
  await Promise.all(filledTables().map(fillTable));
};

const sortBy = async (name, column) => {
  const state = stateOf(name);
  state.descending = state.column === column ? !state.descending : false;
  state.column = column;
  await fillTable(name);
  const heading = document.querySelector(`#table-${name} th[data-column="${column}"]`);
  announce(`Sorted by ${heading.textContent.trim()}, ${state.descending ? "largest" : "smallest"} first.`);
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
      announce(`${rows} row${rows === 1 ? "" : "s"} found.`);
    });
  }
  for (const button of all("[data-all]")) {
    button.addEventListener("click", async () => {
      stateOf(button.dataset.all).all = true;
      announce(`All ${await fillTable(button.dataset.all)} rows are shown.`);
      document.querySelector(`#table-${button.dataset.all}`).closest(".scroll").focus();
    });
  }
};
