// The reader's choices in the page's address, so that a link shows what its sender saw:
// #SECTION&model=NAME&statistic=NAME&off=STYLE,STYLE&scale=CHART,CHART&example=ITEM,STYLE,RELEVANCE
// &drawn=MODEL&drawn=MODEL. A further sample of an item has its number behind the relevance.
// Only choices that differ from those of a page that was just opened are written.
const firstChoice = (select) => (select.querySelector("option[selected]") ?? select.options[0])?.value;

const sectionOf = (hash) => {
  const [first] = hash.replace(/^#/, "").split("&");
  // A % without two digits behind it cannot be decoded: the address then names no section.
  try {
    return first.includes("=") ? "" : decodeURIComponent(first);
  } catch {
    return "";
  }
};
const choicesOf = (hash) => new URLSearchParams(hash.replace(/^#/, "").split("&").filter((part) => part.includes("=")).join("&"));

const scaleBoxes = () => all("[data-log]");
const startsLog = (box) => index.charts.find((chart) => chart.id === box.dataset.log).start === "log";

const stateOfPage = () => {
  const choices = new URLSearchParams();
  for (const name of pickers()) {
    const select = byId(`pick-${name}`);
    if (select && select.value !== firstChoice(select)) choices.set(name, select.value);
  }
  const off = all(".styles input").filter((box) => !box.checked).map((box) => box.value);
  if (off.length) choices.set("off", off.join(","));
  const scale = scaleBoxes().filter((box) => box.checked !== startsLog(box)).map((box) => box.dataset.log);
  if (scale.length) choices.set("scale", scale.join(","));
  if (nameBoxes().some((box) => box.checked !== box.defaultChecked)) {
    const ticked = nameBoxes().filter((box) => box.checked).map((box) => box.value);
    // Without any, the name stands alone: this differs from a link without it.
    for (const name of ticked.length ? ticked : [""]) choices.append("drawn", name);
  }
  if (chosenExample) {
    const { index: item, style, relevance, sample } = chosenExample;
    choices.set("example", [item, style, relevance, ...(sample ? [sample] : [])].join(","));
  }
  return choices.toString();
};

const writeState = () => {
  const hash = [sectionOf(window.location.hash), stateOfPage()].filter(Boolean).join("&");
  // Some browsers refuse this for files: the page works without it.
  try {
    window.history.replaceState(null, "", hash ? `#${hash}` : window.location.href.split("#")[0]);
  } catch { /* The address stays as it is. */ }
};

// Sets every choice to that of the address, or to its first one; unknown values are ignored.
const readState = () => {
  const choices = choicesOf(window.location.hash);
  for (const name of pickers()) {
    const select = byId(`pick-${name}`);
    if (!select) continue;
    const wanted = choices.get(name);
    const known = Array.from(select.options).some((option) => option.value === wanted);
    select.value = known ? wanted : firstChoice(select);
  }
  const off = (choices.get("off") ?? "").split(",");
  for (const box of all(".styles input")) box.checked = !off.includes(box.value);
  const scale = (choices.get("scale") ?? "").split(",");
  for (const box of scaleBoxes()) box.checked = startsLog(box) !== scale.includes(box.dataset.log);
  const drawn = choices.getAll("drawn");
  for (const box of nameBoxes()) box.checked = choices.has("drawn") ? drawn.includes(box.value) : box.defaultChecked;
  const [item, style, relevance, sample = "0"] = (choices.get("example") ?? "").split(",");
  chosenExample = relevance === undefined ? null : { index: Number(item), style, relevance, sample: Number(sample) };
};

const scrollToSection = () => {
  const section = sectionOf(window.location.hash);
  if (section && window.location.hash.includes("=")) byId(section)?.scrollIntoView();
};

const wireState = () => {
  // The heading that a link jumps to stays in the address beside the choices.
  window.addEventListener("hashchange", async () => {
    if (choicesOf(window.location.hash).size === 0) {
      writeState();
      return;
    }
    readState();
    await drawAll();
    scrollToSection();
  });
};
