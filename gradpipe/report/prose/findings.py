"""The findings: what the verdicts say of each claim, in plain sentences and nothing beyond them."""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal, cast

import polars as pl

from gradpipe.claims.schemas import STUDY_SOURCE
from gradpipe.report import style
from gradpipe.report.chart_data import finite
from gradpipe.report.prose.phrases import (
    CLAIM_VERDICTS,
    counted,
    interval_said,
    listed,
    ratio_said,
    sentence,
    span,
    tallied,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.verdicts import claims_in_order

_Answer = Literal["supported", "contradicted", "undecided"]

#: A finding has at most this many details; the table of verdicts has the rest.
MOST_DETAILS = 6
#: A sentence names at most this many places where a claim is not supported, and counts the others.
MOST_PLACES = 3


@dataclass(frozen=True)
class ClaimFinding:
    """A claim, which may have several parts, and how it was decided.

    ``title`` is the claim, or the question that it answers; ``answer`` is over all parts and cells.
    ``summary`` says in a few sentences what holds, how strongly and how surely; ``details`` are a
    sentence or two a part, where there are several, and one a kind of exception.
    """

    group: str
    title: str
    answer: _Answer
    summary: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """A part of a claim, its verdict over all cells, and those of the cells."""

    claim: dict[str, Any]
    overall: dict[str, Any]
    cells: pl.DataFrame

    @property
    def verdict(self) -> _Answer:
        return cast(_Answer, self.overall["verdict"])


def findings(inputs: ReportInputs) -> list[ClaimFinding]:
    """A finding a group of claims, the study's own claims first.

    It is supported where all of its parts are, contradicted where any is. A part without verdicts
    does not count. Groups without any are left out, except for what the study itself claims.
    """
    verdicts = inputs.verdicts.with_columns(finite("effect"))
    # What the study claims are claims of their own, whatever group they share.
    groups = pl.when(pl.col("source") == STUDY_SOURCE).then("claim").otherwise("group")
    claims = claims_in_order(inputs.claims).with_columns(groups.alias("together"))
    found = []
    for together in claims.partition_by("together", maintain_order=True):
        first = together.row(0, named=True)
        parts = [part for claim in together.to_dicts() if (part := _part(claim, verdicts))]
        if parts:
            found.append(_finding(parts))
        elif first["source"] == STUDY_SOURCE:
            nothing = "The study has no results that this could be judged by."
            found.append(ClaimFinding(first["group"], _title(first), "undecided", nothing, ()))
    return found


def _title(claim: dict[str, Any]) -> str:
    """What a finding is headed by: a claim of the study itself is so called as it was stated."""
    return str(claim["claim"] if claim["source"] == STUDY_SOURCE else claim["title"])


def _part(claim: dict[str, Any], verdicts: pl.DataFrame) -> _Part | None:
    judged = verdicts.filter(pl.col("claim") == claim["claim"])
    overall = judged.filter(pl.col("level") == "overall")
    if overall.is_empty():
        return None
    return _Part(claim, overall.row(0, named=True), judged.filter(pl.col("level") == "cell"))


def _finding(parts: list[_Part]) -> ClaimFinding:
    first, answer = parts[0].claim, _answer(parts)
    told = next(part for part in parts if part.verdict == answer)
    details = _exceptions(told)
    details += [" ".join([_judged(part), *_exceptions(part)]) for part in parts if part is not told]
    if len(details) > MOST_DETAILS:
        left = style.number(len(details) - MOST_DETAILS + 1)
        shown = details[: MOST_DETAILS - 1]
        details = [*shown, f"{left} more are left out here; the table of verdicts has every cell."]
    summary = _judged(told)
    if len(parts) > 1:
        verdicts = [part.verdict for part in parts]
        lead = "The first" if len(set(verdicts)) == 1 else sentence(told.verdict)
        summary = f"{tallied(verdicts, 'part')} {_judged(told, lead)}"
    return ClaimFinding(first["group"], _title(first), answer, summary, tuple(details))


def _answer(parts: list[_Part]) -> _Answer:
    verdicts = {part.verdict for part in parts}
    if "contradicted" in verdicts:
        return "contradicted"
    return "undecided" if "undecided" in verdicts else "supported"


def _judged(part: _Part, lead: str | None = None) -> str:
    """All that is said of a part as a whole, after its verdict or another ``lead``.

    What it states, what was measured, why it is not supported, and how the cells agree.
    """
    statement = sentence(part.claim["statement"])
    said = [f"{lead or sentence(part.verdict)}: {statement}"]
    if part.overall["effect"] is not None:
        said.append(_measured(part))
    if part.verdict != "supported":
        # What follows in a reason counts the cells, which the next sentence does.
        said.append(sentence((part.overall["reason"] or "").split(";")[0]))
    if part.cells.height > 1:
        said.append(_agreement(part))
    return " ".join(f"{text}." for text in said if text)


def _measured(part: _Part) -> str:
    """The ratio over all cells that could be judged, and how sure it is."""
    overall, cells = part.overall, part.cells.get_column("p").count()
    over = f" on average over {counted(cells, 'cell')}" if cells > 1 else ""
    interval = interval_said(overall["effect"], overall["low"], overall["high"])
    items = f"; {counted(overall['items'], 'item')}" if overall["items"] else ""
    return f"Measured: {ratio_said(overall['effect'])}{over} ({interval}{items})"


def _agreement(part: _Part) -> str:
    """In how many of the cells a part got which verdict."""
    counts = {v: part.cells.filter(pl.col("verdict") == v).height for v in CLAIM_VERDICTS}
    told = [f"{verdict} in {style.number(count)}" for verdict, count in counts.items() if count]
    if counts[part.verdict] == part.cells.height:
        return f"Likewise in each of the {_extent(part.cells)}"
    return f"{sentence(listed(told))} of the {_extent(part.cells)}"


def _extent(cells: pl.DataFrame) -> str:
    """How many cells there are, and of how many models, benchmarks and projections."""
    sizes = {
        kind: cells.get_column(kind).n_unique() for kind in ("model", "benchmark", "projection")
    }
    told = [counted(size, kind) for kind, size in sizes.items()]
    if cells.get_column("against_model").count():
        told[0] = counted(sizes["model"], "pair of models", "pairs of models")
    whole = prod(sizes.values()) == cells.height
    return f"{counted(cells.height, 'cell')} ({' × '.join(told) if whole else listed(told)})"


def _exceptions(part: _Part) -> list[str]:
    """Where, and why, cells were contradicted or undecided: a sentence each.

    What holds of most cells as it does over all is no exception.
    """
    projections = part.cells.get_column("projection").n_unique()
    said = []
    for verdict in CLAIM_VERDICTS[1:]:
        cells = part.cells.filter(pl.col("verdict") == verdict)
        usual = verdict == part.verdict and 2 * cells.height > part.cells.height
        if not (cells.is_empty() or usual):
            said.append(f"{sentence(verdict)} for {_places(cells, projections)}{_why(cells)}.")
    return said


def _places(cells: pl.DataFrame, projections: int) -> str:
    """Models and benchmarks, with their projections where those are not all that there are."""
    keys = ["model", "against_model", "benchmark"]
    places = cells.group_by(keys, maintain_order=True).agg("projection")
    named = []
    for model, against, benchmark, of in places.head(MOST_PLACES).iter_rows():
        models = f"{model} against {against}" if against else model
        only = f" ({listed(style.in_order('projection', of))})" if len(of) < projections else ""
        named.append(f"{models} on {benchmark}{only}")
    left = places.height - MOST_PLACES
    return listed([*named, counted(left, "more place")] if left > 0 else named)


def _why(cells: pl.DataFrame) -> str:
    """The reason where all of the cells have the same, else the ratios that they have."""
    reasons = cells.get_column("reason").drop_nulls().unique().to_list()
    if len(reasons) == 1:
        return f": {reasons[0].removesuffix('.')}"
    ratios = sorted(cells.get_column("effect").drop_nulls())
    return f": ratios of {span(ratios[0], ratios[-1])}" if ratios else ""
