"use strict";
(() => {
  const results = JSON.parse(document.getElementById("results").textContent);
  const views = new Map();
  const turns = new Map();
  const byId = (name) => document.getElementById(name);
  const all = (selector) => Array.from(document.querySelectorAll(selector));

  const labelled = (kind, value) => results.labels[kind][value] ?? value.replaceAll("_", " ");

  const picked = () => {
    const choice = {};
    for (const name of ["model", "benchmark", "statistic", "segment"]) {
      const select = byId(`pick-${name}`);
      if (select) choice[name] = select.value;
    }
    return choice;
  };

  // Whether the reader switched a style off; one that the chosen benchmark lacks is not offered.
  const isOff = (style) => {
    const label = document.querySelector(`.styles label[data-style="${CSS.escape(style)}"]`);
    return Boolean(label) && !label.hidden && !label.querySelector("input").checked;
  };

  // Entries of a series whose key columns satisfy every test, as [column name → value] readers.
  const entries = (series, tests) => {
    const { values, columns } = series;
    const allowed = Object.entries(tests).map(([key, wanted]) => [
      columns[key], new Set(wanted.map((value) => values[key].indexOf(value)))]);
    const found = [];
    for (let i = 0; i < columns.model.length; i += 1) {
      if (allowed.every(([codes, set]) => set.has(codes[i]))) found.push(i);
    }
    return found;
  };

  const keysOf = (series, i) => {
    const keys = {};
    for (const key of Object.keys(series.values)) keys[key] = series.values[key][series.columns[key][i]];
    return { ...keys, style: labelled("style", keys.style) };
  };

  const curveRows = (series, i) => {
    const { layer, mean, se, examples } = series.columns;
    const keys = keysOf(series, i);
    return layer[i].map((number, j) => {
      const value = mean[i][j];
      const error = se[i][j] ?? 0;
      return {
        ...keys, layer: number, mean: value, se: se[i][j], examples: examples[i],
        low: Math.max(value - error, value * results.leastBand), high: value + error,
      };
    }).filter((row) => row.mean !== null);
  };

  const madRows = (series, i, segment) => {
    const at = series.columns.segment[i].indexOf(segment);
    const mad = at < 0 ? null : series.columns.mad[i][at];
    return mad === null ? [] : [{ ...keysOf(series, i), mad }];
  };

  const rowsFor = (chart) => {
    const choice = picked();
    const series = results[chart.data];
    const tests = { ...chart.where };
    for (const key of chart.pick) if (key !== "segment") tests[key] = [choice[key]];
    const rows = [];
    for (const i of entries(series, tests)) {
      const style = series.values.style[series.columns.style[i]];
      if (chart.id !== "knowledge" && isOff(style)) continue;
      rows.push(...(chart.data === "mad" ? madRows(series, i, choice.segment) : curveRows(series, i)));
    }
    return rows;
  };

  const counted = (rows) => {
    const counts = rows.map((row) => row.examples).filter((n) => n !== undefined && n !== null);
    if (!counts.length) return "";
    const least = Math.min(...counts);
    const most = Math.max(...counts);
    return ` · ${least === most ? least : `${least} to ${most}`} examples a style`;
  };

  const captionFor = (chart, rows) => {
    const choice = picked();
    const words = [labelled("statistic", choice.statistic), choice.model];
    if (chart.pick.includes("benchmark")) words.push(choice.benchmark);
    if (chart.pick.includes("segment")) words[0] = `MAD of ${words[0]}, ${labelled("segment", choice.segment)}`;
    return words.join(" · ") + counted(rows);
  };

  // The specification with only the styles or benchmarks that are drawn in its colour legend.
  const narrowed = (layer, rows) => {
    const colour = layer.encoding?.color;
    if (!colour?.scale?.domain) return layer;
    const drawn = new Set(rows.map((row) => row[colour.field]));
    const kept = colour.scale.domain.map((value, i) => [value, colour.scale.range[i]])
      .filter(([value]) => drawn.has(value));
    const scale = { ...colour.scale, domain: kept.map((k) => k[0]), range: kept.map((k) => k[1]) };
    return { ...layer, encoding: { ...layer.encoding, color: { ...colour, scale } } };
  };

  const fitted = (spec, chart, rows, width) => {
    const columns = width >= 600 ? 2 : 1;
    const [panel, once] = chart.margin;
    const inner = Math.floor((width - once - columns * panel - (columns - 1) * 20) / columns);
    const one = narrowed(spec.spec, rows);
    if (one.layer) one.layer = one.layer.map((layer) => narrowed(layer, rows));
    const config = structuredClone(spec.config);
    if (columns === 1) Object.assign(config.legend, { direction: "vertical", titleOrient: "top" });
    config.legend.layout = { bottom: { anchor: "start", margin: 24, direction: columns === 1 ? "vertical" : "horizontal" } };
    return { ...spec, columns, config, spec: { ...one, width: Math.max(inner, 120) } };
  };

  const draw = async (chart) => {
    const box = byId(`chart-${chart.id}`);
    const turn = (turns.get(chart.id) ?? 0) + 1;
    turns.set(chart.id, turn);
    const log = document.querySelector(`[data-log="${chart.id}"]`).checked;
    const rows = rowsFor(chart).filter((row) => !log || (row.mean ?? row.mad) > 0);
    const caption = captionFor(chart, rows);
    document.querySelector(`[data-shown="${chart.id}"]`).textContent = caption;
    box.style.minHeight = `${box.offsetHeight}px`;
    views.get(chart.id)?.finalize();
    views.delete(chart.id);
    if (!rows.length) {
      box.textContent = "There is no curve for this choice.";
      return;
    }
    const spec = fitted(structuredClone(chart[log ? "log" : "linear"]), chart, rows, box.clientWidth);
    const drawn = await window.vegaEmbed(box, {
      ...spec, datasets: { rows }, description: `Line or dot chart by projection: ${caption}`,
    }, {
      actions: false, ast: true, defaultStyle: false, renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    if (turns.get(chart.id) !== turn) {
      drawn.finalize();
      return;
    }
    views.set(chart.id, drawn);
    box.style.minHeight = "";
    box.dataset.drawn = String(turn);
  };

  const drawAll = () => Promise.all(results.charts.map(draw));

  const showStylesOfChoice = () => {
    const { model, benchmark } = picked();
    const found = entries(results.curves, { model: [model], benchmark: [benchmark] });
    const { values, columns } = results.curves;
    const present = new Set(found.map((i) => values.style[columns.style[i]]));
    for (const label of all(".styles label")) label.hidden = !present.has(label.dataset.style);
  };

  const fillTables = () => {
    const { statistic } = picked();
    for (const span of all('[data-say="statistic"]')) span.textContent = labelled("statistic", statistic);
    for (const [name, table] of Object.entries(results.tables)) {
      const body = document.querySelector(`#table-${name} tbody`);
      if (!body) continue;
      body.replaceChildren(...(table.rows[statistic] ?? []).map((cells) => {
        const line = document.createElement("tr");
        cells.forEach((text, i) => {
          const cell = document.createElement(i < table.heads ? "th" : "td");
          if (i < table.heads) cell.scope = "row";
          cell.textContent = text;
          line.append(cell);
        });
        return line;
      }));
    }
  };

  const save = async (name, kind) => {
    const drawn = views.get(name);
    if (!drawn) return;
    const link = document.createElement("a");
    link.href = await drawn.view.toImageURL(kind, 2);
    link.download = `${name}-${Object.values(picked()).join("-").replace(/[^A-Za-z0-9]+/g, "-")}.${kind}`;
    link.click();
  };

  for (const chart of results.charts) {
    const box = document.querySelector(`[data-log="${chart.id}"]`);
    box.checked = chart.start === "log";
    box.addEventListener("change", () => draw(chart));
  }
  for (const name of ["model", "benchmark"]) {
    byId(`pick-${name}`)?.addEventListener("change", () => { showStylesOfChoice(); drawAll(); });
  }
  byId("pick-statistic").addEventListener("change", () => { fillTables(); drawAll(); });
  byId("pick-segment")?.addEventListener("change", drawAll);
  for (const box of all(".styles input")) box.addEventListener("change", drawAll);
  for (const button of all("[data-save]")) {
    button.addEventListener("click", () => save(button.dataset.save, button.dataset.as));
  }
  let width = window.innerWidth;
  let waiting = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    window.clearTimeout(waiting);
    waiting = window.setTimeout(drawAll, 150);
  });

  showStylesOfChoice();
  fillTables();
  drawAll().then(() => { document.documentElement.dataset.ready = "yes"; });
})();
