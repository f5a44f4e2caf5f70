// Draws the charts one after the other, those in sight first.
const views = new Map();
// The rows that each chart shows.
const drawnRows = new Map();
// How often each chart was drawn: a drawing that was overtaken by a later one stops.
const drawings = new Map();

const loadVega = async () => {
  if (!byId("vega")) return;
  const script = document.createElement("script");
  script.textContent = await inflateText("vega");
  document.head.append(script);
};

const sampleSize = (rows) => {
  const counts = rows.map((row) => row.examples ?? row.items).filter((n) => n !== undefined && n !== null);
  if (!counts.length) return "";
  const fewest = Math.min(...counts);
  const most = Math.max(...counts);
  const unit = rows[0].items === undefined ? "examples" : "items";
  return ` · ${fewest === most ? fewest : `${fewest} to ${most}`} ${most === 1 ? unit.slice(0, -1) : unit}`;
};

const captionOf = (chart, choice, rows) => sourceOf(chart).caption(choice).join(" · ") + sampleSize(rows);

// A description of the chart for screen readers.
const describe = (chart, spec, caption, rows) => {
  const { value, kind } = sourceOf(chart);
  const encodings = (spec.spec.layer ?? [spec.spec]).map((layer) => layer.encoding);
  const { color } = encodings.find((encoding) => encoding.color);
  const named = color.type === "quantitative" ? encodings[0].y : color;
  const valuesOf = (field) => inOrder(field, rows.map((row) => row[field]));
  const panels = valuesOf(spec.facet.field).map((name) => labelOf("panel", name).replaceAll("\n", " "));
  const numbers = rows.map((row) => row[value]);
  const smallest = numbers.reduce((a, b) => Math.min(a, b));
  const largest = numbers.reduce((a, b) => Math.max(a, b));
  return `${kind}: ${caption}. Panels: ${panels.join(", ")}. Shown: ${valuesOf(named.field).join(", ")}. `
    + `Values from ${formatNumber(smallest)} to ${formatNumber(largest)}. The tables and files hold the numbers.`;
};

// The width for names at the left: as much as the longest one needs, up to a limit.
const NAME_WIDTH = { wide: 230, narrow: 170, letter: 6.5, room: 8 };
const widthOfNames = (layers, rows, narrow) => {
  const y = layers.map((layer) => layer.encoding?.y).find((channel) => channel?.type === "nominal");
  if (!y) return 0;
  const letters = Math.max(...rows.map((row) => String(row[y.field]).length));
  return Math.ceil(Math.min(letters * NAME_WIDTH.letter + NAME_WIDTH.room, narrow ? NAME_WIDTH.narrow : NAME_WIDTH.wide));
};
const withNameWidth = (layer, width) => {
  if (layer.encoding?.y?.type !== "nominal") return layer;
  const axis = { ...layer.encoding.y.axis, labelLimit: width, minExtent: width };
  return { ...layer, encoding: { ...layer.encoding, y: { ...layer.encoding.y, axis } } };
};

// The title of the axis of values: of the chosen statistic, if the reader can choose one.
const AXIS_LETTERS = 32;
const axisTitle = (chart, choice) => wrapText(chart.axis.replace(/\{(\w+)\}/g, (_, name) => {
  if (name === "measured") return labelOf("measured", sourceOf(chart).measured?.(choice) ?? choice.statistic);
  return name === "statistic" ? labelOf(name, choice.statistic) : chosenLabel(name, choice[name]);
}), AXIS_LETTERS).split("\n");
const withAxisTitle = (layer, title) => {
  const encoding = { ...layer.encoding };
  for (const channel of ["x", "y"]) {
    const isOpen = encoding[channel]?.type === "quantitative" && encoding[channel].title === null;
    if (isOpen) encoding[channel] = { ...encoding[channel], title };
  }
  const { color } = encoding;
  if (color?.type === "quantitative" && color.legend?.title === null) {
    encoding.color = { ...color, legend: { ...color.legend, title: title.join(" ") } };
  }
  return layer.encoding ? { ...layer, encoding } : layer;
};

// The layer with other columns on its axes, if the reader chooses them.
const withChosenAxes = (layer, axes) => {
  if (!layer.encoding) return layer;
  const chosen = Object.entries(axes).map(([channel, { field, title }]) => [channel, { ...layer.encoding[channel], field, title }]);
  return { ...layer, encoding: { ...layer.encoding, ...Object.fromEntries(chosen) } };
};

// The layer with only those values in its legends that are drawn.
const withDrawnLegends = (layer, rows) => {
  const encoding = { ...layer.encoding };
  for (const channel of ["color", "fill", "shape", "strokeDash", "yOffset"]) {
    const scale = encoding[channel]?.scale;
    if (!scale?.domain || encoding[channel].type === "quantitative") continue;
    const drawn = new Set(rows.map((row) => row[encoding[channel].field]));
    const kept = scale.domain.map((value, i) => [value, scale.range?.[i]]).filter(([value]) => drawn.has(value));
    const range = scale.range && { range: kept.map((pair) => pair[1]) };
    encoding[channel] = { ...encoding[channel], scale: { ...scale, domain: kept.map((pair) => pair[0]), ...range } };
  }
  return layer.encoding ? { ...layer, encoding } : layer;
};

// The letters of the longest name in the color legend.
const legendLetters = (panel, rows) => {
  const encodings = (panel.layer ?? [panel]).map((layer) => layer.encoding);
  const { field } = encodings.find((encoding) => encoding.color).color;
  return Math.max(...rows.map((row) => String(row[field]).length));
};

// The specification for a width in pixels: columns of panels, their width, and the legend.
const fitToWidth = (spec, chart, rows, width, title, axes) => {
  const narrow = width < 520;
  const count = new Set(rows.map((row) => row[spec.facet.field])).size;
  const columns = narrow ? 1 : Math.min(2, count);
  const names = widthOfNames(spec.spec.layer ?? [spec.spec], rows, narrow);
  const [perPanel, once] = chart.margin;
  const available = columns === 1 ? Math.min(width, 760) : width;
  const inner = Math.floor((available - once - names - columns * perPanel - (columns - 1) * 20) / columns);
  const fitLayer = (layer) =>
    withChosenAxes(withAxisTitle(withNameWidth(withDrawnLegends(layer, rows), names), title), axes);
  const panel = fitLayer(spec.spec);
  if (panel.layer) panel.layer = panel.layer.map(fitLayer);
  const config = structuredClone(spec.config);
  if (narrow) Object.assign(config.legend, { direction: "vertical", titleOrient: "top" });
  else config.legend.columns = Math.max(2, Math.floor(width / (legendLetters(panel, rows) * 7 + 40)));
  config.legend.layout = { bottom: { anchor: "start", margin: 24, direction: narrow ? "vertical" : "horizontal" } };
  // Panels appear in the order of their first rows; by default Vega-Lite sorts them by name.
  const sort = spec.facet.sort ?? [...new Set(rows.map((row) => row[spec.facet.field]))];
  return { ...spec, facet: { ...spec.facet, sort }, columns, config, spec: { ...panel, width: Math.max(inner, 120) } };
};

const draw = async (chart) => {
  const box = byId(`chart-${chart.id}`);
  const drawing = (drawings.get(chart.id) ?? 0) + 1;
  drawings.set(chart.id, drawing);
  const { rows: collect, value, axes: axesOf, onClick, choose, nothing } = sourceOf(chart);
  const choice = currentChoice();
  choice.shown = await choose?.(choice);
  const log = document.querySelector(`[data-log="${chart.id}"]`)?.checked ?? chart.start === "log";
  const rows = (await collect(choice)).filter((row) => !log || chart.logOf === "step" || row[value] > 0);
  if (drawings.get(chart.id) !== drawing) return;
  const caption = captionOf(chart, choice, rows);
  document.querySelector(`[data-shown="${chart.id}"]`).textContent = caption;
  box.style.minHeight = `${box.offsetHeight}px`;
  views.get(chart.id)?.finalize();
  views.delete(chart.id);
  drawnRows.set(chart.id, rows);
  if (rows.length) {
    const spec = fitToWidth(structuredClone(chart[log ? "log" : "linear"]), chart, rows, box.clientWidth, axisTitle(chart, choice), axesOf?.(choice) ?? {});
    const description = describe(chart, spec, caption, rows);
    const view = await window.vegaEmbed(box, { ...spec, datasets: { rows }, description }, {
      actions: false, ast: true, defaultStyle: false, renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    if (drawings.get(chart.id) !== drawing) {
      view.finalize();
      return;
    }
    views.set(chart.id, view);
    if (onClick) view.view.addEventListener("click", (_, item) => item?.datum && onClick(item.datum));
  } else {
    box.textContent = nothing?.(choice) ?? "There is nothing to draw for this choice.";
    box.removeAttribute("aria-label");
  }
  box.style.minHeight = "";
  box.dataset.drawn = String(drawing);
};

const distanceFromView = (chart) => {
  const { top, bottom } = byId(`figure-${chart.id}`).getBoundingClientRect();
  return Math.max(top - window.innerHeight, -bottom, 0);
};

// Charts wait in a queue; a chart that is requested again while it waits is drawn once.
let queue = [];
let running = null;
const drawQueue = async () => {
  while (queue.length) {
    queue.sort((a, b) => distanceFromView(a) - distanceFromView(b));
    await draw(queue.shift());
    await new Promise((resolve) => { window.setTimeout(resolve); });
  }
  running = null;
};
const drawCharts = (isWanted) => {
  queue = [...new Set([...queue, ...index.charts.filter(isWanted)])];
  running ??= drawQueue();
  return running;
};
const drawFollowers = (picker) => drawCharts((chart) => sourceOf(chart).follows.includes(picker));

const chartOf = (name) => index.charts.find((chart) => chart.id === name);
const fileName = (name) => {
  const choice = sourceOf(chartOf(name)).caption(currentChoice()).join("-").replace(/[^A-Za-z0-9]+/g, "-").slice(0, 120);
  return `${name}-${choice}`;
};

// A saved picture has the heading and the caption as its title, which the page shows above it.
const save = async (name, kind) => {
  const shown = views.get(name);
  if (!shown) return;
  const subtitle = document.querySelector(`[data-shown="${name}"]`).textContent;
  const title = { text: chartOf(name).heading, subtitle, anchor: "start", offset: 12 };
  const box = document.createElement("div");
  const { view } = await window.vegaEmbed(box, { ...shown.spec, title, padding: 12 }, { actions: false, ast: true, defaultStyle: false, renderer: "svg", tooltip: false });
  const link = document.createElement("a");
  link.href = await view.toImageURL(kind, 2);
  link.download = `${fileName(name)}.${kind}`;
  link.click();
  view.finalize();
};
