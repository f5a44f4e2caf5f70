// One example of the scatter: which one is chosen, and the rows of its charts.
// By what identifies it, so that it is found again in the results of another model.
const EXAMPLE_KEYS = ["index", "style", "relevance", "sample"];
let chosenExample = null;

// The rows of the block of examples, each with its position, by which its details are found.
const exampleBlock = async (model, benchmark) =>
  (await rowsOf(["examples", model, benchmark])).map((row, position) => ({ ...row, position }));

const isSameExample = (row, other) =>
  EXAMPLE_KEYS.every((name) => row[name] === other[name]);

// The chosen example, or else the largest one whose details the page has.
const exampleShown = async ({ model, benchmark }) => {
  const rows = await exampleBlock(model, benchmark);
  const chosen = chosenExample && rows.find((row) => isSameExample(row, chosenExample));
  if (chosen) return chosen;
  const detailed = new Set((await rowsOf(["details", model, benchmark])).map((row) => row.position));
  return rows.filter((row) => detailed.has(row.position))
    .reduce((largest, row) => (largest && largest.nuclear_norm >= row.nuclear_norm ? largest : row), null);
};

const itemName = (row) => `item ${formatCount(row.index)}${row.sample ? `, sample ${row.sample}` : ""}`;
const exampleName = (row) => `${itemName(row)}, ${labelOf("style", row.style)}, ${row.relevance}`;

const textsOfExample = async ({ model, benchmark }, { position }) => {
  const [detail] = await rowsOf(["details", model, benchmark], { position });
  return detail && (await rowsOf(["texts", benchmark], { text: detail.text }))[0];
};

// The statistics that examples have curves of; for others the nuclear norm is drawn.
const exampleStatistic = ({ statistic }) => (index.exampleStatistics.includes(statistic) ? statistic : index.exampleStatistics[0]);

const DETAIL_PICKERS = ["model", "benchmark", "example"];
const detailCaption = (choice, what) => [what, ...(choice.shown ? [exampleName(choice.shown)] : []), choice.model, choice.benchmark];

Object.assign(SOURCES, {
  example_curves: {
    follows: [...DETAIL_PICKERS, "statistic"], value: "mean", kind: "Line chart", choose: exampleShown,
    measured: exampleStatistic,
    nothing: () => "The page has no curves of this example: it has room for those of some examples only.",
    caption: (choice) => detailCaption(choice, labelOf("statistic", exampleStatistic(choice))),
    rows: async (choice) => {
      const { model, benchmark, shown } = choice;
      const statistic = exampleStatistic(choice);
      const { position, style, relevance } = shown ?? {};
      const own = await rowsOf(["example_curves", model, benchmark], { position: position ?? -1 });
      if (!own.length) return [];
      const means = await rowsOf(["curves", model, statistic], { benchmark, style, relevance });
      const line = (name) => index.exampleLines[name];
      return [
        ...own.map((row) => ({ projection: row.projection, layer: row.layer, mean: row[statistic], curve: line(0) })),
        ...means.map((row) => ({ projection: row.projection, layer: row.layer, mean: row.mean, curve: line(1) })),
      ].filter((row) => row.mean !== null);
    },
  },
  token_losses: {
    follows: DETAIL_PICKERS, value: "loss", kind: "Bar chart", choose: exampleShown,
    nothing: ({ hasDetails }) => (hasDetails
      ? "Not kept for this row: its gradients were computed by an earlier version of gradpipe, which did not store the losses of tokens."
      : "The page has no losses of this example’s tokens: it has room for those of some examples only."),
    caption: (choice) => detailCaption(choice, "loss of each token"),
    rows: async (choice) => {
      const { model, benchmark, shown } = choice;
      if (!shown) return [];
      choice.hasDetails = (await rowsOf(["details", model, benchmark], { position: shown.position })).length > 0;
      const rows = await rowsOf(["token_losses", model, benchmark], { position: shown.position });
      return rows.map((row, place) => ({
        token: place + 1, loss: row.token_losses, style: labelOf("style", shown.style), part: exampleName(shown),
      }));
    },
  },
});
