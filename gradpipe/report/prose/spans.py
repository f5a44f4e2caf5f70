"""Findings on the parts of responses: answers after a chain of thought, thinking, and steps."""

import math
from statistics import fmean

import polars as pl

from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.report import style
from gradpipe.report.prose.findings import ClaimFinding, Verdict
from gradpipe.report.prose.phrases import (
    count_text,
    interval_text,
    range_text,
    ratio_text,
    sentence_start,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.statistics.spans.contrasts import CHAINS
from gradpipe.statistics.table import ALL_PROJECTIONS

_ANSWERS = ("final_answer", "answer")
#: Styles without and with a chain of thought, the most different pair first.
_CHAIN_PAIRS = (
    ("answer_only", "thinking"),
    ("none", "detailed"),
    ("none", "simplified"),
    ("simplified", "detailed"),
)
_STATISTICS = {
    "nuclear_norm": "",
    "effective_rank": "the effective rank is",
    "loss": "the mean loss is",
}


def span_findings(inputs: ReportInputs) -> list[ClaimFinding]:
    """What the contrasts of spans and the trends along steps say; none without spans.

    Each is about the nuclear norm of the gradient of a span's own mean loss, by model and
    benchmark. It is supported if every cell's 95 % interval is on the claimed side, contradicted if
    every one is on the other, and otherwise undecided, as it is with fewer than MIN_ITEMS items.
    """
    contrasts = inputs.span_contrasts.filter(
        (pl.col("projection") == ALL_PROJECTIONS) | (pl.col("statistic") == "loss")
    )
    made = (
        _after_a_chain(contrasts, inputs.spans),
        _beside_the_chain(contrasts),
        _wrong_answers(contrasts),
        _along_steps(inputs.step_trends),
    )
    return [finding for finding in made if finding is not None]


def _after_a_chain(contrasts: pl.DataFrame, spans: pl.DataFrame) -> ClaimFinding | None:
    """The same answer without and with a chain of thought before it."""
    same = contrasts.filter(
        pl.col("relevance") == "correct", pl.col("style") != pl.col("against_style")
    )
    compared = same.filter(pl.col("span").is_in(_ANSWERS)).select("style", "against_style")
    present = set(compared.rows())
    pair = next((pair for pair in _CHAIN_PAIRS if pair in present), None)
    if pair is None:
        return None
    of_pair = same.filter(pl.col("style") == pair[0], pl.col("against_style") == pair[1])
    answers = of_pair.filter(pl.col("span").is_in(_ANSWERS))
    everything, *thirds = (answers.filter(pl.col("chain") == chain) for chain in CHAINS)
    labels = [style.style_label(name) for name in pair]
    after = [
        f"after the {chain} of the chains: {_ratio(of_norm)}"
        for chain, part in zip(CHAINS[1:], thirds, strict=True)
        if not (of_norm := _of(part, "nuclear_norm")).is_empty()
    ]
    details = [
        *([f"By the length of the chain of thought, {'; '.join(after)}."] if after else []),
        *_twins(of_pair, "of as many first tokens of the two responses"),
        *_missing(spans, pair),
    ]
    return _finding(
        f"The same answer has a smaller gradient after a chain of thought ({labels[1]})",
        everything,
        f"The gradient of the answer's own mean loss is larger with the style {labels[0]} than "
        f"with the style {labels[1]}",
        tuple(details),
    )


def _beside_the_chain(contrasts: pl.DataFrame) -> ClaimFinding | None:
    """An answer and what precedes it, at the same number of tokens if that was measured."""
    inside = contrasts.filter(
        pl.col("relevance") == "correct",
        pl.col("style") == pl.col("against_style"),
        pl.col("span").is_in(_ANSWERS),
    )
    # Of several styles, the one with the longest chain.
    styles = style.in_order("style", inside.get_column("style").to_list())
    of_style = inside.filter(pl.col("style") == styles[-1]) if styles else inside
    chain = of_style.filter(pl.col("against_span").is_in(["think", "rest"]))
    if chain.is_empty():
        return None
    twin = of_style.filter(pl.col("against_span") == "first_k")
    judged = chain if twin.is_empty() else twin
    against = "what precedes it" if twin.is_empty() else "as many tokens at the beginning"
    details = [
        f"Beside all that precedes it ({_mean(chain, 'against_tokens'):.0f} tokens), the "
        f"answer's gradient is {_ratio(_of(chain, 'nuclear_norm'))}."
    ]
    if twin.is_empty():
        details = ["Part of it may be due to the number of tokens: set `control_tokens: answer`."]
    return _finding(
        f"An answer has a larger gradient than {against} ({style.style_label(styles[-1])})",
        judged,
        f"The gradient of the answer's own mean loss is larger than that of {against}",
        tuple(details),
    )


def _wrong_answers(contrasts: pl.DataFrame) -> ClaimFinding | None:
    """The answer of wrong responses beside that of correct ones."""
    wrong = contrasts.filter(
        pl.col("relevance") == "wrong",
        pl.col("against_relevance") == "correct",
        pl.col("span").is_in(_ANSWERS),
    )
    if wrong.is_empty():
        return None
    styles = style.in_order("style", wrong.get_column("style").to_list())
    label = style.style_label(styles[-1])
    return _finding(
        f"A wrong answer has a larger gradient than the right one ({label})",
        wrong.filter(pl.col("style") == styles[-1]),
        "The gradient of a wrong answer's own mean loss is larger than the right answer's",
        (),
    )


def _along_steps(trends: pl.DataFrame) -> ClaimFinding | None:
    """The last step of a chain beside the first."""
    correct = trends.filter(
        pl.col("relevance") == "correct", pl.col("projection") == ALL_PROJECTIONS
    )
    if correct.is_empty():
        return None
    styles = style.in_order("style", correct.get_column("style").to_list())
    of_style = correct.filter(pl.col("style") == styles[-1])
    raw, equal = (of_style.filter(pl.col("control") == name) for name in ("none", "length"))
    steps = f"{_mean(of_style, 'steps'):.1f} steps per response"
    before = _ratio(_of(raw, "nuclear_norm"))
    return _finding(
        f"Gradients shrink along a chain of steps ({style.style_label(styles[-1])})",
        equal.drop_nulls("ratio") if equal.get_column("ratio").count() else raw,
        f"The last step has a smaller gradient than the first one at equal length ({steps})",
        (f"Without the control for the steps' lengths: {before}.",),
        larger=False,
    )


def _finding(
    title: str, rows: pl.DataFrame, sentence: str, details: tuple[str, ...], *, larger: bool = True
) -> ClaimFinding | None:
    """The finding that a ratio is above (or below) 1, from rows of several statistics."""
    norms = _of(rows, "nuclear_norm")
    if norms.is_empty():
        return None
    verdict = _verdict(norms, larger)
    others = [
        f"{lead} {_ratio(part)}"
        for name, lead in _STATISTICS.items()
        if lead and not (part := _of(rows, name)).is_empty()
    ]
    beside = f" {sentence_start('; '.join(others))}." if others else ""
    few = int(norms.get_column("items").min() or 0)  # type: ignore[arg-type]
    too_few = f" {MIN_ITEMS} items are needed to decide." if few < MIN_ITEMS else ""
    return ClaimFinding(
        group="spans",
        title=title,
        verdict=verdict,
        summary=(
            f"{sentence_start(verdict)}: {sentence}. Measured: {_ratio(norms)}.{beside}{too_few}"
        ),
        details=details,
    )


def _verdict(rows: pl.DataFrame, larger: bool) -> Verdict:
    enough = pl.col("items") >= MIN_ITEMS
    above, below = (pl.col("low") > 1) & enough, (pl.col("high") < 1) & enough
    above, below = (above, below) if larger else (below, above)
    if rows.select(above.fill_null(value=False).all()).item():
        return "supported"
    return "contradicted" if rows.select(below.fill_null(value=False).all()).item() else "undecided"


def _of(rows: pl.DataFrame, statistic: str) -> pl.DataFrame:
    return rows.filter(pl.col("statistic") == statistic).drop_nulls("ratio")


def _ratio(rows: pl.DataFrame) -> str:
    """A ratio with its interval, or the ratios of several cells."""
    ratios = rows.get_column("ratio").to_list()
    if not ratios:
        return "not known"
    if len(ratios) > 1:
        typical = ratio_text(math.exp(fmean(math.log(ratio) for ratio in ratios)))
        cells = count_text(len(ratios), "cell")
        return f"{typical} on average over {cells} ({range_text(min(ratios), max(ratios))} times)"
    row = rows.row(0, named=True)
    items = count_text(row["items"], "item")
    return f"{ratio_text(row['ratio'])} ({_interval(row)}; {items})"


def _interval(row: dict[str, float | None]) -> str:
    return interval_text(row["ratio"] or math.nan, row["low"], row["high"])


def _twins(of_pair: pl.DataFrame, whose: str) -> list[str]:
    """The same contrast of the controls for length, if they were measured."""
    twin = of_pair.filter(pl.col("span") == "first_k", pl.col("chain") == CHAINS[0])
    norms = _of(twin, "nuclear_norm")
    return [] if norms.is_empty() else [f"The gradient {whose} is {_ratio(norms)}."]


def _missing(spans: pl.DataFrame, pair: tuple[str, str]) -> list[str]:
    """How many responses write a final answer, if some do not."""
    counts = spans.filter(
        pl.col("span") == "final_answer",
        pl.col("relevance") == "correct",
        pl.col("style").is_in(pair),
    ).unique(["model", "benchmark", "style"])
    found, usable = (int(counts.get_column(name).sum()) for name in ("examples", "usable"))
    if found == usable:
        return []
    return [
        f"{style.number(found)} of {style.number(usable)} responses write a final answer; the "
        "others are left out."
    ]


def _mean(rows: pl.DataFrame, column: str) -> float:
    return float(rows.get_column(column).mean() or 0)  # type: ignore[arg-type]
