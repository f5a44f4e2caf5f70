"""The findings of the page's first screen: one line each, with the effect of length on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import Any

import polars as pl

from gradpipe.claims.length.matched_styles import LEAST_ANSWER_SHARE
from gradpipe.claims.schemas import COMPARISON_SOURCE, STUDY_SOURCE
from gradpipe.report.prose.findings import ClaimFinding
from gradpipe.report.prose.phrases import (
    CLOSE_TO_ONE,
    USUAL_INTERVAL,
    interval_name,
    short_number,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import number, style_label

#: The first screen has room for this many findings. With fewer than FEW on claims, it also has
#: sizes of gradients that no claim is about.
MOST_HEADLINES, FEW_HEADLINES = 5, 3
#: The figures of a line, in order, with their column headings.
HEADLINE_COLUMNS = {
    "measured": "as measured",
    "matched": "at matched length",
    "regression": "by regression",
    "summed_loss": "on the summed loss",
}
#: The study's own claims come first, then comparisons of its own styles.
_IMPORTANCE = {STUDY_SOURCE: 0, COMPARISON_SOURCE: 1}
_WORDS = {"reversed": "reversed", "undecided": "undecided", "weaker": "below the margin"}


@dataclass(frozen=True, kw_only=True)
class HeadlineFigure:
    """A ratio as text with its interval, or the reason why it is missing.

    ``outcome`` is "agrees", "weaker", "undecided" or "reversed" beside the ratio as measured, and
    None without a ratio.
    """

    column: str
    ratio: str = ""
    interval: str = ""
    note: str = ""
    outcome: str | None = None


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A finding in one line: its title, verdict and figures.

    ``statement`` says what the ratio is of, ``word`` is the word for the verdict.
    ``survives_length`` is None for claims that do not compare two styles: the figures other than
    that as measured are about nothing then.
    """

    group: str
    title: str
    statement: str
    verdict: str
    word: str
    survives_length: str | None
    figures: tuple[HeadlineFigure, ...]


def headlines(found: Iterable[ClaimFinding], inputs: ReportInputs) -> list[Headline]:
    """The most important findings: the study's own claims, then the clearest ones.

    Decided claims come before undecided ones, those on styles before others, and large effects
    before small ones. Claims without a ratio are left out. If there are few, comparisons of the
    sizes of two styles' gradients follow, which have no verdict.
    """
    overall = inputs.verdicts.filter(pl.col("level") == "overall")
    rows = {row["claim"]: row for row in overall.to_dicts()}
    claims = {claim["claim"]: claim for claim in inputs.claims.to_dicts()}
    measured = [
        (finding, rows[finding.claim], claims[finding.claim])
        for finding in found
        if finding.claim in rows and _is_ratio(rows[finding.claim]["effect"])
    ]

    def importance(one: tuple[ClaimFinding, dict[str, Any], dict[str, Any]]) -> tuple[Any, ...]:
        finding, row, claim = one
        return (
            _IMPORTANCE.get(claim["source"], len(_IMPORTANCE)),
            finding.verdict == "undecided",
            row["survives_length"] is None,
            -abs(log(row["effect"])),
        )

    chosen = sorted(measured, key=importance)[:MOST_HEADLINES]
    of_claims = [_headline(finding, row, claim, inputs) for finding, row, claim in chosen]
    return [*of_claims, *_sizes(inputs.length)[: max(FEW_HEADLINES - len(of_claims), 0)]]


def _sizes(length: pl.DataFrame) -> list[Headline]:
    """The ratio of each two styles' mean nuclear norms, as measured and with length controlled.

    Ratios are geometric means over the cells that have all of them; intervals are the range of the
    cells.
    """
    ratios = length.filter(pl.col("effect") > 0, pl.col("effect").is_finite(), quantity="mean")
    lines = []
    for style, against in ratios.select("style", "against").unique(maintain_order=True).rows():
        of_pair = _in_the_same_cells(ratios.filter(style=style, against=against))
        over = f"{style_label(style)} / {style_label(against)}"
        lines.append(
            Headline(
                group="sizes",
                title=f"Size of the gradients, {over}",
                statement="nuclear norm, with the range over cells",
                verdict="",
                word="",
                survives_length="not judged",
                figures=tuple(_mean_figure(name, of_pair) for name in HEADLINE_COLUMNS),
            )
        )
    return lines


def _in_the_same_cells(ratios: pl.DataFrame) -> pl.DataFrame:
    """The ratios of two styles in those cells that have all of them.

    A control that no cell has beside the others is left out.
    """
    cell = ["model", "benchmark", "projection"]
    used: list[str] = []
    shared = ratios.select(cell).unique()
    for control in ("none", *list(HEADLINE_COLUMNS)[1:]):
        both = shared.join(ratios.filter(control=control), on=cell, how="semi")
        if both.height:
            used, shared = [*used, control], both
    of_used = ratios.filter(pl.col("control").is_in(used))
    return of_used.join(shared, on=cell, how="semi", maintain_order="left")


def _mean_figure(column: str, ratios: pl.DataFrame) -> HeadlineFigure:
    control = "none" if column == "measured" else column
    effects = ratios.filter(control=control).get_column("effect")
    if effects.is_empty():
        return HeadlineFigure(column=column, note="not available")
    mean = exp(fmean(effects.log()))
    outcome = "reversed" if _is_reversed(mean, ratios) else "agrees"
    ratio, low, high = _numbers(mean, min(effects), max(effects))
    return HeadlineFigure(
        column=column,
        ratio=f"{ratio}×",
        interval=f"{low} to {high}",
        note=_WORDS.get(outcome, ""),
        outcome=outcome,
    )


def _is_reversed(mean: float, ratios: pl.DataFrame) -> bool:
    """Whether a mean ratio is on the other side of 1 than that as measured."""
    measured = ratios.filter(control="none").get_column("effect")
    return bool(len(measured)) and log(mean) * fmean(measured.log()) < 0


def _headline(
    finding: ClaimFinding, row: dict[str, Any], claim: dict[str, Any], inputs: ReportInputs
) -> Headline:
    controls = inputs.length_control.filter(pl.col("claim") == finding.claim)
    by_control = {one["control"]: one for one in controls.to_dicts()}
    ratio, interval = _ratio_and_interval(row)
    level = _level(claim)
    measured = HeadlineFigure(
        column="measured", ratio=ratio, interval=level + interval, outcome="agrees"
    )
    others = [_figure(name, by_control.get(name), level) for name in list(HEADLINE_COLUMNS)[1:]]
    statement = str(claim["statement"])
    return Headline(
        group=finding.group,
        title=finding.title,
        statement=_ratio_of(claim) or ("" if statement == finding.title else statement),
        verdict=finding.verdict,
        word=finding.word,
        survives_length=row["survives_length"],
        figures=(measured, *others),
    )


def _level(claim: dict[str, Any]) -> str:
    """What precedes an interval that is not the usual one, such as "90 %: "."""
    name = interval_name(claim)
    return "" if name == USUAL_INTERVAL else f"{name.removesuffix(' interval')}: "


def _ratio_of(claim: dict[str, Any]) -> str:
    """What the ratio is of; the title of a comparison names the styles already."""
    ratio = str(claim["ratio"] or "")
    return ratio.partition(":")[0] if claim["source"] == COMPARISON_SOURCE else ratio


def _figure(column: str, row: dict[str, Any] | None, level: str) -> HeadlineFigure:
    if row is None or not _is_ratio(row["effect"]):
        return HeadlineFigure(column=column, note=_missing(column, row))
    notes = [_WORDS.get(row["outcome"], "")]
    if column == "matched" and (row["answer_share"] or 1.0) < LEAST_ANSWER_SHARE:
        notes.append("mostly padding")
    ratio, interval = _ratio_and_interval(row)
    return HeadlineFigure(
        column=column,
        ratio=ratio,
        interval=level + interval,
        note="; ".join(filter(None, notes)),
        outcome=row["outcome"],
    )


def _missing(column: str, row: dict[str, Any] | None) -> str:
    """Why a control has no ratio, in a few words."""
    if column == "matched":
        return "no such responses"
    if column == "regression" and row is not None:
        return str(row["how"]).partition(":")[0]
    return "does not apply"


def _ratio_and_interval(row: dict[str, Any]) -> tuple[str, str]:
    ends = [row[end] if _is_ratio(row[end]) else row["effect"] for end in ("low", "high")]
    ratio, low, high = _numbers(row["effect"], *ends)
    known = _is_ratio(row["low"]) and _is_ratio(row["high"])
    return f"{ratio}×", f"{low} to {high}" if known else ""


def _numbers(ratio: float, *ends: float) -> list[str]:
    """A ratio and the ends of its interval, with a third digit if the ratio is close to 1."""
    low, high = CLOSE_TO_ONE
    text = number if low < ratio < high else short_number
    return [text(value) for value in (ratio, *ends)]


def _is_ratio(value: float | None) -> bool:
    return value is not None and 0 < value < float("inf")
