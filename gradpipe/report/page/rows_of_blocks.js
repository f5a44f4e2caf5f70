// The rows of charts that draw a block as it is, and the pickers that they follow (page_figure.py).
const chosenLabel = (picker, value) =>
  byId(`pick-${picker}`)?.selectedOptions[0]?.textContent ?? labelOf(picker, value);

const sourceOfBlock = ({ id, rows: { block, where, caption, kind, value } }) => ({
  follows: [...block, ...where, "styles"], value, kind,
  caption: (choice) => caption.split(" · ")
    .map((part) => part.replace(/\{(\w+)\}/g, (_, picker) => chosenLabel(picker, choice[picker]))),
  rows: async (choice) => {
    const wanted = Object.fromEntries(where.map((picker) => [picker, choice[picker]])
      // An empty choice stands for all values, for example all series.
      .filter(([, value]) => value !== ""));
    const rows = await rowsOf([id, ...block.map((picker) => choice[picker])], wanted);
    return withStyleLabels(rows.filter((row) => row.style === undefined || !isOff(row.style)));
  },
});

const sourceOf = (chart) => SOURCES[chart.id] ?? sourceOfBlock(chart);
