// The reader's choice, and how names and numbers are written.
// The pickers of the whole page; those above single charts are in the index.
const SHARED_PICKERS = ["model", "benchmark", "statistic"];
const pickers = () => [...SHARED_PICKERS, ...index.pickers];

const currentChoice = () => {
  const choice = {};
  for (const name of pickers()) choice[name] = byId(`pick-${name}`)?.value;
  return choice;
};

// Whether a picker has this model: verdicts on a family name the family instead of its models.
let pickableModels = null;
const isPickable = (model) => {
  pickableModels ??= new Set(Array.from(byId("pick-model")?.options ?? [], ({ value }) => value));
  return pickableModels.has(model);
};

const labelOf = (kind, value) => index.labels[kind]?.[value] ?? String(value).replaceAll("_", " ");

const inOrder = (kind, values) => {
  const order = index.orders[kind] ?? [];
  const rank = (value) => (order.includes(value) ? order.indexOf(value) : order.length);
  return [...new Set(values)].sort((a, b) => rank(a) - rank(b) || String(a).localeCompare(String(b)));
};

// Whether the reader switched a style off. A style that the chosen benchmark does not have is hidden.
const isOff = (style) => {
  const label = document.querySelector(`.styles label[data-style="${CSS.escape(style)}"]`);
  return Boolean(label) && !label.hidden && !label.querySelector("input").checked;
};

// The names that the reader ticked for a chart, and the boxes of all charts.
const nameBoxes = () => all("[data-boxes] input");
const tickedNames = (chart) =>
  all(`[data-boxes="${chart}"] input`).filter((box) => box.checked).map((box) => box.value);

// Says which names a chart leaves out, and how to draw them.
const showLeftOut = () => {
  for (const note of all("[data-left-out]")) {
    const boxes = all(`[data-boxes="${note.dataset.leftOut}"] input`);
    const left = boxes.filter((box) => !box.checked).map((box) => box.value);
    note.textContent = left.length
      ? `${boxes.length - left.length} of ${boxes.length} are drawn. Left out: ${left.join(", ")}. Tick a name to draw it.`
      : `All ${boxes.length} are drawn.`;
  }
};

const showStylesOfChoice = async () => {
  const { model, benchmark, statistic } = currentChoice();
  const rows = await rowsOf(["curves", model, statistic], { benchmark });
  const present = new Set(rows.map((row) => row.style));
  for (const label of all(".styles label")) label.hidden = !present.has(label.dataset.style);
};

const MISSING = "–";

// A number to three significant digits, as style.number in Python writes it.
const formatNumber = (value) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  if (value === 0) return "0";
  const size = Math.abs(value);
  const rounded = Number(size.toPrecision(3));
  if (rounded >= 1e-3 && rounded < 1e3) return value.toPrecision(3);
  if (rounded >= 1e3 && Number(size.toFixed(0)) < 1e5) return value.toFixed(0);
  return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
};

// A whole number with its thousands separated.
const formatCount = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");

// How the values of a table's columns are written, by the kind of the column (table_values.py).
const FORMATS = {
  count: formatCount,
  layers: (layers) => layers.join(" "),
  number: formatNumber,
  p: (p) => (p < index.leastP ? `< ${index.leastP}` : formatNumber(p)),
  style: (style) => labelOf("style", style),
  text: String,
};
const formatValue = (value, kind) => (value === null || value === undefined ? MISSING : FORMATS[kind](value));

const wrapText = (text, letters) => {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines[lines.length - 1];
    if (line && line.length + word.length + 1 > letters) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.join("\n");
};

// Announces a change of the page to screen readers.
const announce = (text) => { byId("status").textContent = text; };
