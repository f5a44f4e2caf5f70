// The extreme examples with their texts. Text is set as textContent, so markup in it has no effect.
const element = (name, text, className) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
};

// Where a response comes from: pairs of a name and a text, as origin_facts in Python writes them.
const originOf = (facts) => {
  const origin = element("details", undefined, "origin");
  const list = element("dl");
  for (const [name, text] of facts) {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", text));
    list.append(pair);
  }
  origin.append(element("summary", "Where this response comes from"), list);
  return origin;
};

const exampleCard = (row) => {
  const card = element("details", undefined, "card");
  const summary = element("summary");
  const numbers = [
    `nuclear norm ${formatNumber(row.nuclear_norm)}`,
    `${formatValue(row.response_tokens, "count")} tokens`,
    `loss ${formatNumber(row.loss)}`,
  ];
  summary.append(
    element("span", `${row.place}`, "place"),
    element("span", exampleName(row)),
    element("span", numbers.join(" · "), "numbers"),
  );
  card.append(summary);
  for (const part of ["instruction", "response"]) {
    card.append(element("p", part, "part"), element("pre", row[part] ?? "", "text"));
  }
  if (row.facts) card.append(originOf(JSON.parse(row.facts)));
  for (const text of card.querySelectorAll("pre")) text.tabIndex = 0;
  return card;
};

// The chosen example with its texts, if the page has them; open if the reader chose it.
const showChosen = async () => {
  const box = byId("clicked-example");
  if (!box) return;
  const choice = currentChoice();
  const row = await exampleShown(choice);
  if (!row) {
    box.replaceChildren();
    return;
  }
  const texts = await textsOfExample(choice, row)
    ?? (await rowsOf(["extremes", choice.benchmark], { model: choice.model })).find((one) => isSameExample(one, row));
  const card = exampleCard({ ...row, instruction: texts?.instruction, response: texts?.response, place: "•" });
  if (!texts) {
    card.querySelectorAll(".part, pre").forEach((part) => part.remove());
    card.append(element("p", "The page has no room for the texts of this example: it has those of the largest "
      + `and smallest gradients, and of some between. This one is ${itemName(row)} of ${choice.benchmark}.`, "note"));
  }
  card.open = Boolean(chosenExample);
  box.replaceChildren(card);
};

// Shows the example at a position of the block of examples.
const showExample = async (position) => {
  const { model, benchmark } = currentChoice();
  const row = (await exampleBlock(model, benchmark))[position];
  chosenExample = Object.fromEntries(EXAMPLE_KEYS.map((name) => [name, row[name]]));
  writeState();
  await showChosen();
  announce(`Shown below the chart: ${exampleName(row)}.`);
  await drawFollowers("example");
};

const showExtremes = async () => {
  await showChosen();
  const box = byId("extremes");
  if (!box) return;
  const { model, benchmark } = currentChoice();
  const origins = await rowsOf(["origins", benchmark], { model });
  const factsOf = ({ end, place }) =>
    origins.find((origin) => origin.end === end && origin.place === place)?.facts;
  const rows = (await rowsOf(["extremes", benchmark], { model }))
    .map((row) => ({ ...row, facts: factsOf(row) }));
  const sides = inOrder("end", rows.map((row) => row.end)).map((end) => {
    const side = element("div", undefined, "side");
    side.append(element("h4", `The ${end} gradients`));
    const cards = rows.filter((row) => row.end === end).sort((a, b) => a.place - b.place);
    side.append(...cards.map(exampleCard));
    return side;
  });
  const nothing = element("p", "No example is shown for this choice.");
  box.replaceChildren(...(sides.length ? sides : [nothing]));
};
