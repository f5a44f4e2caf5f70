"""How well single responses are distinguished, and what the gradient adds, in sentences.

The statistics are named in advance, so nothing is the best of many: the nuclear norm and the
effective rank, as means over layers, with the range over projections.
"""

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.prose.phrases import count_text, join_words, sentence_start
from gradpipe.report.style import statistic_label, style_label

#: The statistics of which sentences give the AUROC.
_NAMED = ("nuclear_norm", "effective_rank")
#: Claims about means whose finding also says how single responses are distinguished.
_OF_CLAIMS = {"3a": ("detailed", "irrelevant")}
_KIND = ["style", "first"]
_CELL = ["model", "benchmark"]
_SIDES = (pl.col("added_low") > 0, pl.col("added_high") < 0)


def discrimination_notes(discrimination: pl.DataFrame, added: pl.DataFrame) -> list[str]:
    """One note per style and kind of response: AUROCs of loss and gradient, and what it adds."""
    kinds = in_reading_order(discrimination.select(_KIND).unique(), *_KIND)
    notes = []
    for style, first in kinds.iter_rows():
        aurocs = _aurocs(discrimination, style, first)
        if aurocs:
            what = f"{sentence_start(style_label(style))}, {first} against correct: {aurocs}."
            gain = _gain(added.filter(style=style, first=first))
            notes.append(" ".join(filter(None, (what, gain))))
    return notes


def auroc_notes(discrimination: pl.DataFrame) -> dict[str, str]:
    """Sentences without a period for the findings of claims about relevance, by claim."""
    aurocs = {
        claim: (style, first, _aurocs(discrimination, style, first))
        for claim, (style, first) in _OF_CLAIMS.items()
    }
    return {
        claim: f"Single {first} responses, {style}: {text}"
        for claim, (style, first, text) in aurocs.items()
        if text
    }


def _aurocs(discrimination: pl.DataFrame, style: str, first: str) -> str:
    """The AUROCs of the loss and of the named statistics as a clause; "" without any."""
    whole = discrimination.filter(pl.col("layer").is_null(), style=style, first=first)
    cells = whole.select(_CELL).n_unique()
    clauses = []
    for name in ("loss", *_NAMED):
        rows = whole.filter(statistic=name)
        means = sorted(rows.group_by("projection").agg(pl.col("auroc").mean())["auroc"])
        if not means:
            continue
        text = f"{_two(means[0])} to {_two(means[-1])} by projection"
        if _two(means[0]) == _two(means[-1]):
            text = _two(means[0])
        if len(rows) == 1:
            low, high = rows.select("auroc_low", "auroc_high").row(0)
            text += f" ({_two(low)} to {_two(high)})"
        clauses.append(f"{statistic_label(name)} {text}")
    if not clauses:
        return ""
    over = f"mean AUROC over {count_text(cells, 'cell')}" if cells > 1 else "AUROC"
    return f"{over} of the {join_words(clauses)}"


def _gain(added: pl.DataFrame) -> str:
    """What the gradient adds to loss and length, or why that is not known."""
    known = added.drop_nulls("added")
    if known.is_empty():
        reasons = added["reason"].drop_nulls().unique(maintain_order=True).to_list()
        unknown = "What the gradient adds to loss and length is not known"
        return f"{unknown}: {reasons[0]}." if reasons else ""
    mean = known.select(pl.col("baselines", "both", "added").mean()).row(0, named=True)
    gain = f"{mean['added']:+.2f}".replace("-", "−")
    models = (
        f"Models of loss and length reach {_two(mean['baselines'])} on new items, with the "
        f"gradient {_two(mean['both'])}: it adds {gain}"
    )
    above, below = (known.filter(test).height for test in _SIDES)
    if len(known) > 1:
        return (
            f"{models} on average. Its 95 % interval is above 0 in {above} and below 0 in {below} "
            f"of {count_text(len(known), 'cell')}."
        )
    low, high = known.select("added_low", "added_high").row(0)
    verdict = "" if above or below else ", which cannot be distinguished from nothing"
    interval = f"95 % interval {low:.2f} to {high:.2f}".replace("-", "−")
    return f"{models} ({interval}){verdict}."


def _two(value: float) -> str:
    """A number with two decimals."""
    return f"{value:.2f}"
