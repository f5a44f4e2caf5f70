// What the reader chose, and how things are called.
const PICKERS = ["model", "benchmark", "statistic", "segment", "claim", "twins", "kind", "quantity"];

const picked = () => {
  const choice = {};
  for (const name of PICKERS) choice[name] = byId(`pick-${name}`)?.value;
  return choice;
};

const labelled = (kind, value) => index.labels[kind]?.[value] ?? String(value).replaceAll("_", " ");

const styleCalled = (label) =>
  Object.keys(index.labels.style).find((style) => index.labels.style[style] === label) ?? label;

const inOrder = (kind, values) => {
  const order = index.orders[kind] ?? [];
  const place = (value) => (order.includes(value) ? order.indexOf(value) : order.length);
  return [...new Set(values)].sort((a, b) => place(a) - place(b) || String(a).localeCompare(String(b)));
};

// Whether the reader switched a style off; one that the chosen benchmark lacks is not offered.
const isOff = (style) => {
  const label = document.querySelector(`.styles label[data-style="${CSS.escape(style)}"]`);
  return Boolean(label) && !label.hidden && !label.querySelector("input").checked;
};

const showStylesOfChoice = async () => {
  const { model, benchmark, statistic } = picked();
  const rows = await rowsOf(["curves", model, statistic], { benchmark });
  const present = new Set(rows.map((row) => row.style));
  for (const label of all(".styles label")) label.hidden = !present.has(label.dataset.style);
};

// A number to three digits, as the tables have it.
const shown = (value) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value)) return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  return size < 1e3 ? value.toPrecision(3) : value.toFixed(0);
};

// The number that a cell shows, or null where it is no number.
const numberIn = (text) => {
  const plain = text.replaceAll("\u202f", "");
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
};

const wrapped = (text, letters) => {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines[lines.length - 1];
    if (line && line.length + word.length + 1 > letters) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.join("\n");
};

// Told to screen readers once the page has changed.
const say = (text) => { byId("said").textContent = text; };
