// Drawing: one chart after the other, those in sight first.
const views = new Map();
const turns = new Map();

const loadVega = async () => {
  if (!byId("vega")) return;
  const script = document.createElement("script");
  script.textContent = await inflatedText("vega");
  document.head.append(script);
};

const counted = (rows) => {
  const counts = rows.map((row) => row.examples ?? row.items).filter((n) => n !== undefined && n !== null);
  if (!counts.length) return "";
  const least = Math.min(...counts);
  const most = Math.max(...counts);
  const word = rows[0].items === undefined ? "examples" : "items";
  return ` · ${least === most ? least : `${least} to ${most}`} ${word}`;
};

const captionFor = (chart, choice, rows) => SOURCES[chart.id].about(choice).join(" · ") + counted(rows);

// What a chart shows, for those who do not see it.
const described = (chart, spec, caption, rows) => {
  const { value, kind } = SOURCES[chart.id];
  const one = (spec.spec.layer ?? [spec.spec]).map((layer) => layer.encoding).find((e) => e.color);
  const of = (field) => inOrder(field, rows.map((row) => row[field]));
  const panels = of(spec.facet.field).map((name) => labelled("panel", name).replaceAll("\n", " "));
  const numbers = rows.map((row) => row[value]);
  const extent = [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
  const series = of(one.color.field).join(", ");
  return `${kind}: ${caption}. Panels: ${panels.join(", ")}. Shown: ${series}. `
    + `Values from ${shown(extent[0])} to ${shown(extent[1])}. The tables and files hold the numbers.`;
};

// The room for names down the left side: what the longest needs, less on a narrow page.
const NAMES = { wide: 170, narrow: 104, letter: 7 };
const roomForNames = (layers, rows, narrow) => {
  const y = layers.map((layer) => layer.encoding?.y).find((channel) => channel?.type === "nominal");
  if (!y) return 0;
  const longestName = Math.max(...rows.map((row) => String(row[y.field]).length));
  return Math.ceil(Math.min(longestName * NAMES.letter, narrow ? NAMES.narrow : NAMES.wide));
};
const withNames = (layer, limit) => {
  if (layer.encoding?.y?.type !== "nominal") return layer;
  const axis = { ...layer.encoding.y.axis, labelLimit: limit, minExtent: limit };
  return { ...layer, encoding: { ...layer.encoding, y: { ...layer.encoding.y, axis } } };
};

// The specification with only what is drawn in its legends.
const narrowed = (layer, rows) => {
  const encoding = { ...layer.encoding };
  for (const channel of ["color", "fill", "shape", "strokeDash", "yOffset"]) {
    const scale = encoding[channel]?.scale;
    if (!scale?.domain) continue;
    const drawn = new Set(rows.map((row) => row[encoding[channel].field]));
    const kept = scale.domain.map((value, i) => [value, scale.range?.[i]]).filter(([value]) => drawn.has(value));
    const range = scale.range && { range: kept.map((pair) => pair[1]) };
    encoding[channel] = { ...encoding[channel], scale: { ...scale, domain: kept.map((pair) => pair[0]), ...range } };
  }
  return layer.encoding ? { ...layer, encoding } : layer;
};

// The letters of the longest name in a chart's colour legend.
const longest = (one, rows) => {
  const field = (one.layer ?? [one]).map((layer) => layer.encoding).find((e) => e.color).color.field;
  return Math.max(...rows.map((row) => String(row[field]).length));
};

const fitted = (spec, chart, rows, width) => {
  const narrow = width < 600;
  const count = new Set(rows.map((row) => row[spec.facet.field])).size;
  const columns = narrow ? 1 : Math.min(2, count);
  const names = roomForNames(spec.spec.layer ?? [spec.spec], rows, narrow);
  const [panel, once] = chart.margin;
  const room = columns === 1 ? Math.min(width, 680) : width;
  const inner = Math.floor((room - once - names - columns * panel - (columns - 1) * 20) / columns);
  const fit = (layer) => withNames(narrowed(layer, rows), names);
  const one = fit(spec.spec);
  if (one.layer) one.layer = one.layer.map(fit);
  const config = structuredClone(spec.config);
  if (narrow) Object.assign(config.legend, { direction: "vertical", titleOrient: "top" });
  else config.legend.columns = Math.max(2, Math.floor(width / (longest(one, rows) * 7 + 40)));
  config.legend.layout = { bottom: { anchor: "start", margin: 24, direction: narrow ? "vertical" : "horizontal" } };
  // Panels come as their first rows do: left to itself, Vega-Lite goes by the alphabet.
  const sort = spec.facet.sort ?? [...new Set(rows.map((row) => row[spec.facet.field]))];
  return { ...spec, facet: { ...spec.facet, sort }, columns, config, spec: { ...one, width: Math.max(inner, 120) } };
};

const draw = async (chart) => {
  const box = byId(`chart-${chart.id}`);
  const turn = (turns.get(chart.id) ?? 0) + 1;
  turns.set(chart.id, turn);
  const choice = picked();
  const log = document.querySelector(`[data-log="${chart.id}"]`)?.checked ?? chart.start === "log";
  const { rows: gather, value } = SOURCES[chart.id];
  const rows = (await gather(choice)).filter((row) => !log || row[value] > 0);
  if (turns.get(chart.id) !== turn) return;
  const caption = captionFor(chart, choice, rows);
  document.querySelector(`[data-shown="${chart.id}"]`).textContent = caption;
  box.style.minHeight = `${box.offsetHeight}px`;
  views.get(chart.id)?.finalize();
  views.delete(chart.id);
  if (rows.length) {
    const spec = fitted(structuredClone(chart[log ? "log" : "linear"]), chart, rows, box.clientWidth);
    const description = described(chart, spec, caption, rows);
    const drawn = await window.vegaEmbed(box, { ...spec, datasets: { rows }, description }, {
      actions: false, ast: true, defaultStyle: false, renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    if (turns.get(chart.id) !== turn) {
      drawn.finalize();
      return;
    }
    views.set(chart.id, drawn);
  } else {
    box.textContent = "There is nothing to draw for this choice.";
    box.removeAttribute("aria-label");
  }
  box.style.minHeight = "";
  box.dataset.drawn = String(turn);
};

const distance = (chart) => {
  const { top, bottom } = byId(`figure-${chart.id}`).getBoundingClientRect();
  return Math.max(top - window.innerHeight, -bottom, 0);
};

// Draws what follows any of the pickers; a chart that is asked for again meanwhile waits its turn.
let queue = [];
let running = null;
const drawQueue = async () => {
  while (queue.length) {
    queue.sort((a, b) => distance(a) - distance(b));
    await draw(queue.shift());
    await new Promise((resolve) => { window.setTimeout(resolve); });
  }
  running = null;
};
const drawThose = (isWanted) => {
  const wanted = index.charts.filter(isWanted);
  queue = [...new Set([...queue, ...wanted])];
  running ??= drawQueue();
  return running;
};
const drawAfter = (...names) => drawThose((chart) => names.some((name) => SOURCES[chart.id].follows.includes(name)));

const save = async (name, kind) => {
  const drawn = views.get(name);
  if (!drawn) return;
  const link = document.createElement("a");
  link.href = await drawn.view.toImageURL(kind, 2);
  const words = SOURCES[name].about(picked()).join("-").replace(/[^A-Za-z0-9]+/g, "-").slice(0, 120);
  link.download = `${name}-${words}.${kind}`;
  link.click();
};
