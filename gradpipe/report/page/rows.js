// Which rows each chart of curves draws: what it follows, and how its rows are reckoned.
const banded = (row, value, error) => {
  const width = error ?? 0;
  return { ...row, low: Math.max(value - width, value * index.leastBand), high: value + width };
};

const curveRows = async (model, statistic, benchmark) => {
  const rows = await rowsOf(["curves", model, statistic], { benchmark });
  return rows.filter((row) => row.mean !== null && !isOff(row.style)).map((row) => {
    const se = row.error === null ? null : row.error * Math.abs(row.mean);
    return banded({ ...row, model, se }, row.mean, se);
  });
};

const named = (rows) => rows.map((row) => ({ ...row, style: labelled("style", row.style) }));

// One curve over another, layer by layer; the error by the delta method, as if independent.
const divided = (over, under, keyOf) => {
  const below = new Map(under.map((row) => [keyOf(row), row]));
  const rows = [];
  for (const row of over) {
    const other = below.get(keyOf(row));
    if (!other || row.mean <= 0 || other.mean <= 0) continue;
    const ratio = row.mean / other.mean;
    const known = row.error !== null && other.error !== null;
    const se = known ? ratio * Math.hypot(row.error, other.error) : null;
    const examples = Math.min(row.examples, other.examples);
    rows.push(banded({ ...row, ratio, se, examples }, ratio, se));
  }
  return rows;
};

const stylesDivided = (rows) => index.ratios.flatMap(([above, below]) => {
  const of = (style) => rows.filter((row) => row.style === style);
  const pair = `${labelled("style", above)} / ${labelled("style", below)}`;
  const keyOf = (row) => `${row.projection} ${row.relevance} ${row.layer}`;
  return divided(of(above), of(below), keyOf).map((row) => ({ ...row, pair }));
});

const irrelevantDivided = (rows) => {
  const of = (relevance) => rows.filter((row) => row.relevance === relevance);
  const keyOf = (row) => `${row.projection} ${row.style} ${row.layer}`;
  return divided(of("irrelevant"), of("correct"), keyOf);
};

const differences = (rows) => {
  const ratios = irrelevantDivided(rows).map((row) => ({ ...row, rd: Math.abs(row.ratio - 1) }));
  const curves = Map.groupBy
    ? Map.groupBy(ratios, (row) => `${row.projection} ${row.style}`)
    : ratios.reduce((found, row) => {
      const key = `${row.projection} ${row.style}`;
      return found.set(key, [...(found.get(key) ?? []), row]);
    }, new Map());
  for (const curve of curves.values()) {
    const order = [...curve].sort((a, b) => b.rd - a.rd);
    order.forEach((row, place) => { row.largest = place < index.largestLayers; });
  }
  return ratios;
};

const correct = (rows) => rows.filter((row) => row.relevance === "correct");
const ofChoice = ({ model, statistic, benchmark }) => curveRows(model, statistic, benchmark);
const onCurves = ["model", "benchmark", "statistic", "styles"];
const aboutCurves = (choice) => [labelled("statistic", choice.statistic), choice.model, choice.benchmark];

// MADs as the tables have them: a column a projection, or a segment and projection.
const madRows = async ({ model, statistic, segment }, isWanted) => {
  const name = segment === "all" ? "mad" : "mad_segments";
  const { columns, heads } = index.tables[name];
  const values = columns.slice(heads).map((column, place) => [column, heads + place])
    .filter(([column]) => segment === "all" || column.startsWith(`${segment}_`));
  const rows = (await cellsOf(name, statistic)).flatMap((cells) => {
    const keys = Object.fromEntries(columns.slice(0, heads).map((key, place) => [key, cells[place]]));
    return values.map(([column, place]) => {
      const projection = segment === "all" ? column : column.slice(segment.length + 1);
      return { ...keys, projection, mad: numberIn(cells[place]) };
    });
  });
  return rows.filter((row) => row.model === model && row.mad !== null && isWanted(styleCalled(row.style)));
};
const isLength = (style) => style.startsWith("length_") || style === "article";
const aboutMad = ({ statistic, model, segment }) => [
  `MAD of ${labelled("statistic", statistic)}, ${labelled("segment", segment)}`, model];

const SOURCES = {
  curves: {
    follows: onCurves, value: "mean", kind: "Line chart", about: aboutCurves,
    rows: async (choice) => named(correct(await ofChoice(choice))),
  },
  ratio: {
    follows: onCurves, value: "ratio", kind: "Line chart of ratios", about: aboutCurves,
    rows: async (choice) => named(stylesDivided(correct(await ofChoice(choice)))),
  },
  relevance: {
    follows: onCurves, value: "mean", kind: "Line chart", about: aboutCurves,
    rows: async (choice) => named(await ofChoice(choice)),
  },
  over: {
    follows: onCurves, value: "ratio", kind: "Line chart of ratios", about: aboutCurves,
    rows: async (choice) => named(irrelevantDivided(await ofChoice(choice))),
  },
  rd: {
    follows: onCurves, value: "rd", kind: "Line chart of relative differences", about: aboutCurves,
    rows: async (choice) => named(differences(await ofChoice(choice))),
  },
  twins: {
    follows: ["twins", "benchmark", "statistic", "styles"], value: "mean", kind: "Line chart",
    about: (choice) => {
      const { base, tuned } = index.twins[Number(choice.twins)];
      return [labelled("statistic", choice.statistic), `${base} and ${tuned}`, choice.benchmark];
    },
    rows: async ({ twins, statistic, benchmark }) => {
      const pair = Object.entries(index.twins[Number(twins)]);
      const parts = await Promise.all(pair.map(async ([tuning, model]) => {
        const rows = correct(await curveRows(model, statistic, benchmark));
        return rows.map((row) => ({ ...row, tuning }));
      }));
      return named(parts.flat());
    },
  },
  mad: {
    follows: ["model", "statistic", "segment", "styles"], value: "mad", kind: "Dot chart", about: aboutMad,
    rows: (choice) => madRows(choice, (style) => !isLength(style) && !isOff(style)),
  },
  knowledge: {
    follows: ["model", "statistic", "segment"], value: "mad", kind: "Line chart", about: aboutMad,
    rows: (choice) => madRows(choice, isLength),
  },
};
