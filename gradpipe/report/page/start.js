// What happens when the page opens, and when the reader changes a choice.
const announceChoice = () => {
  const choice = currentChoice();
  const parts = [choice.statistic && labelOf("statistic", choice.statistic), choice.model, choice.benchmark];
  announce(`Shown: ${parts.filter(Boolean).join(", ")}.`);
};

// What changes with a picker besides the charts.
const UPDATES = {
  model: [showStylesOfChoice, fillTables, showExtremes],
  benchmark: [showStylesOfChoice, fillTables, showExtremes],
  statistic: [fillTables],
  claim: [fillTables],
  twins: [fillTables],
};

const onChoice = async (name) => {
  writeState();
  announceChoice();
  for (const update of UPDATES[name] ?? []) await update();
  // Charts are drawn last: a model or benchmark may bring other styles, which limit the curves.
  await drawFollowers(name);
};

const wireCharts = () => {
  for (const chart of index.charts) {
    const box = document.querySelector(`[data-log="${chart.id}"]`);
    if (!box) continue;
    box.addEventListener("change", () => {
      writeState();
      drawCharts((other) => other.id === chart.id);
    });
  }
  for (const name of pickers()) byId(`pick-${name}`)?.addEventListener("change", () => onChoice(name));
  for (const box of all(".styles input")) box.addEventListener("change", () => {
    writeState();
    drawFollowers("styles");
  });
  for (const box of nameBoxes()) box.addEventListener("change", () => {
    writeState();
    showLeftOut();
    drawCharts((chart) => chart.id === box.closest("[data-boxes]").dataset.boxes);
  });
  for (const button of all("[data-save]")) {
    button.addEventListener("click", () => save(button.dataset.save, button.dataset.as));
  }
  let width = window.innerWidth;
  let timer = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    window.clearTimeout(timer);
    timer = window.setTimeout(() => drawCharts(() => true), 150);
  });
};

// Closed parts would be missing on paper, so they are open while the page is printed.
const wirePrint = () => {
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = all("details:not([open]):not([data-screen])");
    for (const part of opened) part.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
  });
};

const wireCopy = () => {
  const button = byId("copy-study");
  button?.addEventListener("click", async () => {
    const text = byId("study-file");
    const range = document.createRange();
    range.selectNodeContents(text);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    try {
      await navigator.clipboard.writeText(text.textContent);
      announce("The study file is copied.");
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: copy it with the keyboard";
    }
  });
};

// Everything that depends on the reader's choices.
const drawAll = async () => {
  showLeftOut();
  if (byId("pick-model")) await showStylesOfChoice();
  await Promise.all([fillTables(), showExtremes()]);
  await drawCharts(() => true);
};

const start = async () => {
  wireCopy();
  wirePrint();
  if (typeof DecompressionStream !== "function") {
    byId("no-data").hidden = false;
    return;
  }
  await openIndex();
  wireTables();
  const vega = loadVega();
  readState();
  wireCharts();
  wireDownloads();
  await vega;
  await drawAll();
  scrollToSection();
  wireState();
  document.documentElement.dataset.ready = "yes";
};
start();
