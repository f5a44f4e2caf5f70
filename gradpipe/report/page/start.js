// What happens when the page opens and when the reader chooses.
const announce = () => {
  const choice = picked();
  const words = [choice.statistic && labelled("statistic", choice.statistic), choice.model, choice.benchmark];
  say(`Shown: ${words.filter(Boolean).join(", ")}.`);
};

const RESPONSES = {
  model: [showStylesOfChoice, fillTables, showExtremes],
  benchmark: [showStylesOfChoice, fillTables, showExtremes],
  statistic: [fillTables],
  claim: [fillTables],
  twins: [fillTables],
};

const onChoice = async (name) => {
  announce();
  for (const respond of RESPONSES[name] ?? []) await respond();
  // A model or benchmark may bring other styles, which all charts of curves are kept to.
  await drawAfter(name);
};

const wireCharts = () => {
  for (const chart of index.charts) {
    const box = document.querySelector(`[data-log="${chart.id}"]`);
    if (!box) continue;
    box.checked = chart.start === "log";
    box.addEventListener("change", () => drawThose((one) => one.id === chart.id));
  }
  for (const name of PICKERS) byId(`pick-${name}`)?.addEventListener("change", () => onChoice(name));
  for (const box of all(".styles input")) box.addEventListener("change", () => drawAfter("styles"));
  for (const button of all("[data-save]")) {
    button.addEventListener("click", () => save(button.dataset.save, button.dataset.as));
  }
  let width = window.innerWidth;
  let waiting = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => drawThose(() => true), 150);
  });
};

// On paper a closed part would be lost: it is open while the page is printed.
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
      say("The study file is copied.");
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: copy it with the keyboard";
    }
  });
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
  if (byId("pick-model")) await showStylesOfChoice();
  wireCharts();
  await Promise.all([vega, fillTables(), showExtremes()]);
  await drawThose(() => true);
  document.documentElement.dataset.ready = "yes";
};
start();
