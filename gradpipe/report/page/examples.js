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
    element("span", `item ${formatCount(row.index)}, ${labelOf("style", row.style)}, ${row.relevance}`),
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

// The example whose dot was clicked, with its texts if it is among the most extreme ones.
const showExample = async (row) => {
  const { model, benchmark } = currentChoice();
  const extremes = await rowsOf(["extremes", benchmark], { model, index: row.index, relevance: row.relevance });
  const known = extremes.find((one) => labelOf("style", one.style) === row.style);
  const card = exampleCard({ ...row, ...known, place: "•" });
  if (!known) {
    card.querySelectorAll(".part, pre").forEach((part) => part.remove());
    card.append(element("p", "The page has the texts of the largest and smallest gradients only. "
      + `This one is item ${row.index} of ${benchmark}, ${row.style}, ${row.relevance}.`, "note"));
  }
  card.open = true;
  byId("clicked-example").replaceChildren(card);
  announce(`Item ${row.index}, ${row.style}, ${row.relevance} is shown below the chart.`);
};

const showExtremes = async () => {
  byId("clicked-example")?.replaceChildren();
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
