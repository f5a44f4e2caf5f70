// The rows of the charts of curves, and the pickers that each chart follows.
// Ratios are divided here because the page has no room for all of them; the division is the same as
// in gradpipe/report/chart_data.py, and a test compares the two.
const withBand = (row, value, error) => {
  const width = error ?? 0;
  return { ...row, low: Math.max(value - width, value * index.leastBand), high: value + width };
};

const bandedCurves = (rows, model) => rows.filter((row) => row.mean !== null).map((row) => {
  const se = row.error === null ? null : row.error * Math.abs(row.mean);
  return withBand({ ...row, model, se }, row.mean, se);
});
const curveRows = async (model, statistic, benchmark) => {
  const rows = await rowsOf(["curves", model, statistic], { benchmark });
  return bandedCurves(rows.filter((row) => !isOff(row.style)), model);
};

const withStyleLabels = (rows) => rows.map((row) => (row.style === undefined ? row : { ...row, style: labelOf("style", row.style) }));

// One curve divided by another, layer by layer, where both are positive. The error is by the delta
// method, as if the two means were independent.
const divide = (numerators, denominators, keyOf) => {
  const denominatorAt = new Map(denominators.map((row) => [keyOf(row), row]));
  const rows = [];
  for (const row of numerators) {
    const other = denominatorAt.get(keyOf(row));
    if (!other || row.mean <= 0 || other.mean <= 0) continue;
    const ratio = row.mean / other.mean;
    const hasErrors = row.error !== null && other.error !== null;
    const se = hasErrors ? ratio * Math.hypot(row.error, other.error) : null;
    const examples = Math.min(row.examples, other.examples);
    rows.push(withBand({ ...row, ratio, se, examples }, ratio, se));
  }
  return rows;
};

const styleRatios = (rows) => index.ratios.flatMap(([first, second]) => {
  const ofStyle = (style) => rows.filter((row) => row.style === style);
  const pair = `${labelOf("style", first)} / ${labelOf("style", second)}`;
  const keyOf = (row) => `${row.projection} ${row.relevance} ${row.layer}`;
  return divide(ofStyle(first), ofStyle(second), keyOf).map((row) => ({ ...row, pair }));
});

const relevanceRatios = (rows) => {
  const ofRelevance = (relevance) => rows.filter((row) => row.relevance === relevance);
  const keyOf = (row) => `${row.projection} ${row.style} ${row.layer}`;
  return divide(ofRelevance("irrelevant"), ofRelevance("correct"), keyOf);
};

// The values of a wide table's row by the names of its leading columns, for example its style.
const leadingValues = (name, values) => {
  const { columns, heads } = index.tables[name];
  return Object.fromEntries(columns.slice(0, heads).map((column, position) => [column, values[position]]));
};

// RD at each layer. The layers where it is largest are those of the table of RDs.
const layerDifferences = async (rows, { model, benchmark, statistic }) => {
  const largest = new Map();
  for (const values of await tableRows("rd", statistic)) {
    const row = leadingValues("rd", values);
    if (row.model !== model || row.benchmark !== benchmark) continue;
    for (const [projection, position] of Object.entries(index.largestLayers)) {
      largest.set(`${projection} ${row.style}`, values[position] ?? []);
    }
  }
  return relevanceRatios(rows).map((row) => ({
    ...row,
    rd: Math.abs(row.ratio - 1),
    largest: (largest.get(`${row.projection} ${row.style}`) ?? []).includes(row.layer),
  }));
};

const hasDrawnRelevance = (row) => ["correct", "irrelevant"].includes(row.relevance);
const onlyDrawn = (rows) => rows.filter(hasDrawnRelevance);
const onlyCorrect = (rows) => rows.filter((row) => row.relevance === "correct");
const chosenCurves = ({ model, statistic, benchmark }) => curveRows(model, statistic, benchmark);
const CURVE_PICKERS = ["model", "benchmark", "statistic", "styles"];
const curveCaption = (choice) => [labelOf("statistic", choice.statistic), choice.model, choice.benchmark];

// MADs from the columns of their tables: one column per projection, or per segment and projection.
const madRows = async ({ model, statistic, segment }, isWanted) => {
  const { table, positions } = index.mads[segment];
  return (await tableRows(table, statistic)).flatMap((values) => {
    const row = leadingValues(table, values);
    if (row.model !== model || !hasDrawnRelevance(row) || !isWanted(row.style)) return [];
    return Object.entries(positions)
      .filter(([, position]) => values[position] !== null)
      .map(([projection, position]) => ({ ...row, projection, mad: values[position] }));
  });
};
const isKnowledge = (style) => index.knowledgeStyles.includes(style);
const madCaption = ({ statistic, model, segment }) => [
  `MAD of ${labelOf("statistic", statistic)}, ${labelOf("segment", segment)}`, model];

const SOURCES = {
  headline: {
    follows: [...CURVE_PICKERS, "projection"], value: "mean", kind: "Line chart",
    caption: (choice) => [...curveCaption(choice), labelOf("panel", choice.projection)],
    rows: async (choice) => withStyleLabels(onlyCorrect(await chosenCurves(choice))
      .filter((row) => row.projection === choice.projection)),
  },
  curves: {
    follows: CURVE_PICKERS, value: "mean", kind: "Line chart", caption: curveCaption,
    rows: async (choice) => withStyleLabels(onlyCorrect(await chosenCurves(choice))),
  },
  heatmap: {
    follows: CURVE_PICKERS, value: "mean", kind: "Heatmap", caption: curveCaption,
    rows: async (choice) => withStyleLabels(onlyCorrect(await chosenCurves(choice))),
  },
  styles: {
    follows: CURVE_PICKERS, value: "mean", kind: "Line chart", caption: curveCaption,
    rows: async (choice) => withStyleLabels(onlyCorrect(await chosenCurves(choice))),
  },
  models: {
    follows: ["benchmark", "statistic", "models_style"], value: "mean", kind: "Line chart",
    caption: (choice) => [
      labelOf("statistic", choice.statistic), choice.benchmark, labelOf("style", choice.models_style)],
    rows: async ({ statistic, benchmark, models_style: style }) => {
      const hasBoxes = document.querySelector('[data-boxes="models"]');
      const models = hasBoxes ? tickedNames("models") : Array.from(byId("pick-model").options, (option) => option.value);
      const rows = await Promise.all(models.map(async (model) => {
        const packed = await rowsOf(["curves", model, statistic], { benchmark, style, relevance: "correct" });
        return bandedCurves(packed, model);
      }));
      return withStyleLabels(rows.flat());
    },
  },
  ratio: {
    follows: CURVE_PICKERS, value: "ratio", kind: "Line chart of ratios", caption: curveCaption,
    rows: async (choice) => withStyleLabels(styleRatios(onlyCorrect(await chosenCurves(choice)))),
  },
  relevance: {
    follows: CURVE_PICKERS, value: "mean", kind: "Line chart", caption: curveCaption,
    rows: async (choice) => withStyleLabels(onlyDrawn(await chosenCurves(choice))),
  },
  over: {
    follows: CURVE_PICKERS, value: "ratio", kind: "Line chart of ratios", caption: curveCaption,
    rows: async (choice) => withStyleLabels(relevanceRatios(await chosenCurves(choice))),
  },
  rd: {
    follows: CURVE_PICKERS, value: "rd", kind: "Line chart of relative differences", caption: curveCaption,
    rows: async (choice) => withStyleLabels(await layerDifferences(await chosenCurves(choice), choice)),
  },
  twins: {
    follows: ["twins", "benchmark", "statistic", "styles"], value: "mean", kind: "Line chart",
    caption: (choice) => {
      const { base, tuned } = index.twins[Number(choice.twins)];
      return [labelOf("statistic", choice.statistic), `${base} and ${tuned}`, choice.benchmark];
    },
    rows: async ({ twins, statistic, benchmark }) => {
      const pair = Object.entries(index.twins[Number(twins)]);
      const parts = await Promise.all(pair.map(async ([tuning, model]) => {
        const rows = onlyCorrect(await curveRows(model, statistic, benchmark));
        return rows.map((row) => ({ ...row, tuning }));
      }));
      return withStyleLabels(parts.flat());
    },
  },
  mad: {
    follows: ["model", "statistic", "segment", "styles"], value: "mad", kind: "Dot chart", caption: madCaption,
    rows: async (choice) =>
      withStyleLabels(await madRows(choice, (style) => !isKnowledge(style) && !isOff(style))),
  },
  knowledge: {
    follows: ["model", "statistic", "segment"], value: "mad", kind: "Line chart", caption: madCaption,
    rows: async (choice) => withStyleLabels(await madRows(choice, isKnowledge)),
  },
};
