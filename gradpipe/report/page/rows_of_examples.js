// The rows of the charts of verdicts, cosines and single examples.
// Letters per line of a panel's title: a panel is narrower on a phone.
const titleLetters = () => (window.innerWidth < 640 ? 32 : 46);

const comparisonLabel = (row) => [
  `${labelOf("style", row.style)}, ${row.relevance}`,
  `${labelOf("style", row.against_style)}, ${row.against_relevance}`,
].join(" · ");

const claimTitle = (group) => byId("pick-claim")?.selectedOptions[0]?.textContent ?? group;

// The statistic of the heatmap: the chosen one if the page has its AUROCs by layer.
const drawnStatistic = (statistic) =>
  (index.heatmaps.includes(statistic) ? statistic : index.heatmaps[0]);

const alignmentRows = async (model, kind, benchmark) => {
  const rows = await rowsOf(["alignment", model, kind], { benchmark });
  return rows.filter((row) => row.mean !== null)
    .map((row) => ({ ...row, low: row.mean - (row.se ?? 0), high: row.mean + (row.se ?? 0) }));
};

// The verdicts on families of models, which are shown whichever model is chosen.
const rowsOfFamilies = async () => {
  const families = index.blocks.filter(([kind, name]) => kind === "verdicts" && !isPickable(name)).map(([, name]) => name);
  const parts = await Promise.all(families.map(async (family) =>
    (await rowsOf(["verdicts", family])).map((row) => ({ ...row, family }))));
  return parts.flat();
};

Object.assign(SOURCES, {
  verdicts: {
    follows: ["model", "claim"], value: "effect", kind: "Dots with intervals",
    caption: (choice) => [claimTitle(choice.claim), choice.judged ?? choice.model],
    rows: async (choice) => {
      const { model, claim } = choice;
      const names = index.claims.filter((part) => part.group === claim).map((part) => part.claim);
      const isDrawn = (row) => names.includes(row.claim) && row.low > 0 && row.effect > 0 && row.high > 0;
      const ofModel = (await rowsOf(["verdicts", model])).filter(isDrawn);
      const ofFamilies = (await rowsOfFamilies()).filter(isDrawn);
      if (ofFamilies.length && !ofModel.length) choice.judged = "families of models";
      const rows = [...ofModel, ...ofFamilies];
      // Panels appear in the order of their first rows, so rows come in the order of the claims.
      return index.claims.filter((part) => part.group === claim).flatMap((part) => {
        const title = wrapText(part.statement, titleLetters());
        return rows.filter((row) => row.claim === part.claim)
          .map((row) => ({ ...row, part: title, place: [row.family, row.benchmark, row.projection].filter(Boolean).join(" · ") }));
      });
    },
  },
  length: {
    follows: ["model", "benchmark", "quantity"], value: "effect", kind: "Dots with intervals",
    caption: ({ model, benchmark, quantity }) => [
      quantity === "mad" ? "Ratio of MADs of the nuclear norm" : "Ratio of mean nuclear norms", model, benchmark],
    rows: async ({ model, benchmark, quantity }) => {
      const rows = await rowsOf(["length", model, benchmark], { quantity });
      return rows.filter((row) => row.effect > 0 && row.low > 0 && row.high > 0).map((row) => ({
        ...row,
        pair: `${labelOf("style", row.style)} / ${labelOf("style", row.against)}`,
        control: labelOf("control", row.control),
      }));
    },
  },
  aurocs: {
    follows: ["model", "benchmark", "statistic", "styles"], value: "auroc", kind: "Heatmap",
    caption: ({ model, benchmark, statistic }) => [
      `AUROC of ${labelOf("statistic", drawnStatistic(statistic))}`, model, benchmark],
    rows: async ({ model, benchmark, statistic }) => {
      const rows = await rowsOf(["aurocs", model, drawnStatistic(statistic)], { benchmark });
      const ofLoss = await rowsOf(["aurocs", model, "loss"], { benchmark });
      return rows.filter((row) => row.percent !== null && !isOff(row.style)).map((row) => {
        const loss = ofLoss.find((other) => other.style === row.style && other.first === row.first);
        const compared = `${labelOf("style", row.style)}, ${row.first} against ${row.second}`;
        const part = loss ? `${compared} · loss: ${(loss.percent / 100).toFixed(2)}` : compared;
        return { ...row, part, auroc: row.percent / 100, loss: loss ? loss.percent / 100 : null };
      });
    },
  },
  alignment: {
    follows: ["model", "benchmark", "kind", "styles"], value: "mean", kind: "Line chart of cosines",
    caption: ({ model, benchmark, kind }) => [
      kind === "next_layer" ? "cosine with the next layer's gradient" : "cosine of two projections' gradients",
      model, benchmark],
    rows: async ({ model, benchmark, kind }) =>
      withStyleLabels((await alignmentRows(model, kind, benchmark)).filter((row) => !isOff(row.style))),
  },
  responses: {
    follows: ["model", "benchmark"], value: "mean", kind: "Line chart of cosines",
    caption: ({ model, benchmark }) => ["cosine of the gradients of two responses", model, benchmark],
    rows: async ({ model, benchmark }) => (await alignmentRows(model, "responses", benchmark))
      .map((row) => ({ ...row, projection: row.pair, pair: comparisonLabel(row) })),
  },
  sizes: {
    follows: ["model", "benchmark", "styles", "x_axis", "y_axis"], value: "value", kind: "Scatter plot",
    caption: ({ model, benchmark, x_axis: x, y_axis: y }) => [
      `${chosenLabel("y_axis", y)} by ${chosenLabel("x_axis", x)}`, model, benchmark],
    axes: ({ x_axis: x, y_axis: y }) => ({
      x: { field: x, title: chosenLabel("x_axis", x) }, y: { field: y, title: chosenLabel("y_axis", y) },
    }),
    // A click beside the dots, or on the legend, has another datum.
    onClick: ({ position }) => position !== undefined && showExample(position),
    rows: async ({ model, benchmark, x_axis: x, y_axis: y }) => {
      const rows = await exampleBlock(model, benchmark);
      const isDrawn = (row) => row[x] > 0 && row[y] > 0 && !isOff(row.style);
      return withStyleLabels(rows.filter(isDrawn).map((row) => ({ ...row, value: row[y] })));
    },
  },
  spectra: {
    follows: ["model", "benchmark"], value: "value", kind: "Line chart of spectra",
    caption: ({ model, benchmark }) => ["singular values by rank", model, benchmark],
    rows: async ({ model, benchmark }) => withStyleLabels(await rowsOf(["spectra", benchmark], { model })),
  },
});
