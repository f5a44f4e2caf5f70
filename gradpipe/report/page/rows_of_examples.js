// Which rows the charts of verdicts, cosines and single examples draw.
// Letters of a panel's title in one line: a panel is narrower on a phone.
const partLetters = () => (window.innerWidth < 640 ? 32 : 46);

const compared = (row) => [
  `${labelled("style", row.style)}, ${row.relevance}`,
  `${labelled("style", row.against_style)}, ${row.against_relevance}`,
].join(" · ");

const claimTitle = (group) => byId("pick-claim")?.selectedOptions[0]?.textContent ?? group;

const alignmentRows = async (model, kind, benchmark) => {
  const rows = await rowsOf(["alignment", model, kind], { benchmark });
  return rows.filter((row) => row.mean !== null)
    .map((row) => ({ ...row, low: row.mean - (row.se ?? 0), high: row.mean + (row.se ?? 0) }));
};

Object.assign(SOURCES, {
  verdicts: {
    follows: ["model", "claim"], value: "effect", kind: "Dots with intervals",
    about: (choice) => [claimTitle(choice.claim), choice.model],
    rows: async ({ model, claim }) => {
      const rows = (await rowsOf(["verdicts", model]))
        .filter((row) => row.low > 0 && row.effect > 0 && row.high > 0);
      // The claims' order: panels come as their first rows do.
      return index.claims.filter((one) => one.group === claim).flatMap((one) => {
        const part = wrapped(one.statement, partLetters());
        return rows.filter((row) => row.claim === one.claim).map((row) => ({ ...row, part }));
      });
    },
  },
  length: {
    follows: ["model", "benchmark", "quantity"], value: "effect", kind: "Dots with intervals",
    about: ({ model, benchmark, quantity }) => [
      quantity === "mad" ? "Ratio of MADs of the nuclear norm" : "Ratio of mean nuclear norms", model, benchmark],
    rows: async ({ model, benchmark, quantity }) => {
      const rows = await rowsOf(["length", model, benchmark], { quantity });
      return rows.filter((row) => row.effect > 0 && row.low > 0 && row.high > 0).map((row) => ({
        ...row,
        pair: `${labelled("style", row.style)} / ${labelled("style", row.against)}`,
        control: labelled("control", row.control),
      }));
    },
  },
  alignment: {
    follows: ["model", "benchmark", "kind", "styles"], value: "mean", kind: "Line chart of cosines",
    about: ({ model, benchmark, kind }) => [
      kind === "next_layer" ? "cosine with the next layer's gradient" : "cosine of two projections' gradients",
      model, benchmark],
    rows: async ({ model, benchmark, kind }) =>
      named((await alignmentRows(model, kind, benchmark)).filter((row) => !isOff(row.style))),
  },
  responses: {
    follows: ["model", "benchmark"], value: "mean", kind: "Line chart of cosines",
    about: ({ model, benchmark }) => ["cosine of the gradients of two responses", model, benchmark],
    rows: async ({ model, benchmark }) => (await alignmentRows(model, "responses", benchmark))
      .map((row) => ({ ...row, projection: row.pair, pair: compared(row) })),
  },
  sizes: {
    follows: ["model", "benchmark", "styles"], value: "nuclear_norm", kind: "Scatter plot",
    about: ({ model, benchmark }) => ["nuclear norm by tokens of the response", model, benchmark],
    rows: async ({ model, benchmark }) => {
      const rows = await rowsOf(["examples", model, benchmark]);
      return named(rows.filter((row) => row.nuclear_norm > 0 && row.response_tokens > 0 && !isOff(row.style)));
    },
  },
  spectra: {
    follows: ["model", "benchmark"], value: "value", kind: "Line chart of spectra",
    about: ({ model, benchmark }) => ["singular values by rank", model, benchmark],
    rows: async ({ model, benchmark }) => named(await rowsOf(["spectra", benchmark], { model })),
  },
});
