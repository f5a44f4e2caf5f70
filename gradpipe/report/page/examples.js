// The extreme examples with their texts, which are shown as the text they are.
const element = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

const cardOf = (row) => {
  const card = element("details", undefined, "card");
  const summary = element("summary");
  summary.append(
    element("span", `${row.place}`, "place"),
    element("span", `item ${row.index}, ${labelled("style", row.style)}, ${row.relevance}`),
    element("span", `nuclear norm ${shown(row.nuclear_norm)} · ${shown(row.response_tokens)} tokens · loss ${shown(row.loss)}`, "numbers"),
  );
  card.append(summary);
  for (const part of ["instruction", "response"]) {
    card.append(element("p", part, "part"), element("pre", row[part] ?? "", "text"));
  }
  for (const text of card.querySelectorAll("pre")) text.tabIndex = 0;
  return card;
};

const showExtremes = async () => {
  const box = byId("extremes");
  if (!box) return;
  const { model, benchmark } = picked();
  const rows = await rowsOf(["extremes", benchmark], { model });
  const sides = inOrder("end", rows.map((row) => row.end)).map((end) => {
    const side = element("div", undefined, "side");
    side.append(element("h4", `The ${end} gradients`));
    const ends = rows.filter((row) => row.end === end).sort((a, b) => a.place - b.place);
    side.append(...ends.map(cardOf));
    return side;
  });
  box.replaceChildren(...(sides.length ? sides : [element("p", "There are none for this choice.")]));
};
