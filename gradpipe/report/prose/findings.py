"""The findings: what the verdicts say about each claim, in plain sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, cast

import polars as pl

from gradpipe.claims.schemas import STUDY_SOURCE
from gradpipe.report import style
from gradpipe.report.chart_data import finite
from gradpipe.report.prose.comparisons import found_statement, verdict_word
from gradpipe.report.prose.inference_notes import correction_text, independence_text
from gradpipe.report.prose.length_line import worst_survival
from gradpipe.report.prose.notes import claim_notes
from gradpipe.report.prose.phrases import (
    CLAIM_VERDICTS,
    count_text,
    interval_name,
    interval_text,
    join_words,
    range_text,
    ratio_text,
    sentence_start,
    tally,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.verdicts import claims_in_order

Verdict = Literal["supported", "contradicted", "undecided"]

#: A finding has at most this many details; the table of verdicts has the rest.
MOST_DETAILS = 6
#: A sentence names at most this many places where a claim is not supported, and counts the others.
MOST_PLACES = 3


@dataclass(frozen=True, kw_only=True)
class ClaimFinding:
    """The verdict on a claim, which may have several parts, and the sentences about it.

    ``title`` is the claim, or the question that it answers; ``verdict`` is over all parts and
    cells. ``summary`` says in a few sentences what was found, how large the effect is and how
    certain. ``details`` are about further parts, if there are several, and about exceptions.
    ``survives_length`` is the most serious word of its parts on length control, None without any.
    ``claim`` is the claim that ``summary`` is about, with its ``source``, empty for findings on
    spans.
    """

    group: str
    title: str
    verdict: Verdict
    summary: str
    details: tuple[str, ...] = ()
    survives_length: str | None = None
    claim: str = ""
    source: str = ""

    @property
    def word(self) -> str:
        """The word for the verdict."""
        return verdict_word(self.verdict, self.source)


@dataclass(frozen=True)
class _Part:
    """A part of a claim with its overall verdict and the verdicts on its cells.

    ``verdict`` is the one after the correction for all claims, if there is one. ``notes`` are
    further sentences about the part (see gradpipe/report/prose/notes.py).
    """

    claim: dict[str, Any]
    overall: dict[str, Any]
    cells: pl.DataFrame
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        return cast(Verdict, self.overall["verdict_study"] or self.overall["verdict"])

    def word(self, verdict: str) -> str:
        """The word for a verdict on this part."""
        return verdict_word(verdict, self.claim["source"])


def findings(inputs: ReportInputs) -> list[ClaimFinding]:
    """One finding per group of claims, the study's own claims first.

    It is supported if all of its parts are, contradicted if any part is, otherwise undecided. Parts
    without verdicts are ignored, and so are groups without any, unless the study itself claims it.
    """
    verdicts = inputs.verdicts.with_columns(finite("effect"))
    # The study's own claims are separate findings, although they share a group.
    groups = pl.when(pl.col("source") == STUDY_SOURCE).then("claim").otherwise("group")
    claims = claims_in_order(inputs.claims).with_columns(groups.alias("finding"))
    notes = claim_notes(inputs)
    results = []
    for group in claims.partition_by("finding", maintain_order=True):
        first = group.row(0, named=True)
        parts = [part for claim in group.to_dicts() if (part := _part(claim, verdicts, notes))]
        if parts:
            results.append(_finding(parts))
        elif first["source"] == STUDY_SOURCE:
            results.append(_finding_without_results(first))
    return results


def _title(claim: dict[str, Any]) -> str:
    """The heading of a finding; a claim of the study itself is its own heading."""
    return str(claim["claim"] if claim["source"] == STUDY_SOURCE else claim["title"])


def _part(
    claim: dict[str, Any], verdicts: pl.DataFrame, notes: dict[str, list[str]]
) -> _Part | None:
    of_claim = verdicts.filter(pl.col("claim") == claim["claim"])
    overall = of_claim.filter(pl.col("level") == "overall")
    if overall.is_empty():
        return None
    cells = of_claim.filter(pl.col("level") == "cell")
    return _Part(claim, overall.row(0, named=True), cells, notes.get(claim["claim"], ()))


def _finding(parts: list[_Part]) -> ClaimFinding:
    verdict = _combined_verdict(parts)
    main = next(part for part in parts if part.verdict == verdict)
    details = _exceptions(main)
    details += [
        " ".join([_summary(part), *_exceptions(part)]) for part in parts if part is not main
    ]
    if len(details) > MOST_DETAILS:
        omitted = style.number(len(details) - MOST_DETAILS + 1)
        shown = details[: MOST_DETAILS - 1]
        details = [
            *shown,
            f"{omitted} more are omitted here; the table of verdicts has every cell.",
        ]
    summary = _summary(main)
    if len(parts) > 1:
        verdicts = [part.verdict for part in parts]
        lead = "The first" if len(set(verdicts)) == 1 else sentence_start(main.word(main.verdict))
        summary = f"{tally(verdicts, 'part')} {_summary(main, lead)}"
    claim = parts[0].claim
    return ClaimFinding(
        claim=main.claim["claim"],
        source=claim["source"],
        group=claim["group"],
        title=_title(claim),
        verdict=verdict,
        summary=summary,
        details=tuple(details),
        survives_length=worst_survival(part.overall["survives_length"] for part in parts),
    )


def _finding_without_results(claim: dict[str, Any]) -> ClaimFinding:
    summary = "The study has no results for this claim."
    return ClaimFinding(
        claim=claim["claim"],
        source=claim["source"],
        group=claim["group"],
        title=_title(claim),
        verdict="undecided",
        summary=summary,
    )


def _combined_verdict(parts: list[_Part]) -> Verdict:
    verdicts = {part.verdict for part in parts}
    if "contradicted" in verdicts:
        return "contradicted"
    return "undecided" if "undecided" in verdicts else "supported"


def _summary(part: _Part, lead: str | None = None) -> str:
    """The sentences about a part as a whole, after ``lead`` or its verdict.

    The statement, the measured effect, the reason if it is not supported, the cells' verdicts, and
    the part's notes.
    """
    found = found_statement(part.claim["statement"], part.verdict, part.claim["source"])
    sentences = [f"{lead or sentence_start(part.word(part.verdict))}: {sentence_start(found)}"]
    if part.overall["effect"] is not None:
        sentences.append(_measured(part))
    if part.verdict != "supported":
        sentences.append(sentence_start(part.overall["reason"] or ""))
    sentences.append(correction_text(part.overall, part.word))
    if part.cells.height > 1:
        worth = independence_text(part.overall, part.cells.get_column("p").count())
        sentences.append(_cell_verdicts(part) + worth)
    sentences += part.notes
    return " ".join(f"{text}." for text in sentences if text)


def _measured(part: _Part) -> str:
    """The mean ratio of the cells that have one, with its interval and number of items.

    For a claim about each layer, the ratio of the layer that differs most.
    """
    overall, cells = part.overall, part.cells.get_column("p").count()
    over = f" on average over {count_text(cells, 'cell')}" if cells > 1 else ""
    name = interval_name(part.claim)
    if part.claim["quantity"] == "layers":
        within = f" of {count_text(cells, 'cell')}" if cells > 1 else ""
        over = f" at the layer{within} that differs most"
    interval = interval_text(overall["effect"], overall["low"], overall["high"], name)
    items = f"; {count_text(overall['items'], 'item')}" if overall["items"] else ""
    return f"Measured: {ratio_text(overall['effect'])}{over} ({interval}{items})"


def _cell_verdicts(part: _Part) -> str:
    """The number of cells per verdict."""
    counts = {v: part.cells.filter(pl.col("verdict") == v).height for v in CLAIM_VERDICTS}
    if counts[part.verdict] == part.cells.height:
        return f"{sentence_start(part.word(part.verdict))} in each of the {_extent(part.cells)}"
    parts = [
        f"{part.word(verdict)} in {style.number(count)}"
        for verdict, count in counts.items()
        if count
    ]
    return f"{sentence_start(join_words(parts))} of the {_extent(part.cells)}"


def _extent(cells: pl.DataFrame) -> str:
    """The number of cells, and of their models, benchmarks and projections."""
    sizes = {
        kind: cells.get_column(kind).n_unique() for kind in ("model", "benchmark", "projection")
    }
    parts = [count_text(size, kind) for kind, size in sizes.items()]
    if cells.get_column("against_model").count():
        parts[0] = count_text(sizes["model"], "pair of models", "pairs of models")
    is_full_grid = prod(sizes.values()) == cells.height
    extent = " × ".join(parts) if is_full_grid else join_words(parts)
    return f"{count_text(cells.height, 'cell')} ({extent})"


def _exceptions(part: _Part) -> list[str]:
    """One sentence about the contradicted cells and one about the undecided ones, if there are any.

    A majority of cells that agrees with the overall verdict is not listed as an exception.
    """
    projections = part.cells.get_column("projection").n_unique()
    sentences = []
    for verdict in CLAIM_VERDICTS[1:]:
        cells = part.cells.filter(pl.col("verdict") == verdict)
        is_rule = verdict == part.verdict and 2 * cells.height > part.cells.height
        if not (cells.is_empty() or is_rule):
            places = _places(cells, projections)
            sentences.append(f"{sentence_start(part.word(verdict))} for {places}{_cause(cells)}.")
    return sentences


def _places(cells: pl.DataFrame, projections: int) -> str:
    """Models and benchmarks, with their projections if these are not all ``projections``."""
    keys = ["model", "against_model", "benchmark"]
    places = cells.group_by(keys, maintain_order=True).agg("projection")
    names = []
    for model, against, benchmark, present in places.head(MOST_PLACES).iter_rows():
        models = f"{model} against {against}" if against else model
        ordered = style.in_order("projection", present)
        only = f" ({join_words(ordered)})" if len(present) < projections else ""
        names.append(f"{models} on {benchmark}{only}")
    others = places.height - MOST_PLACES
    return join_words([*names, count_text(others, "more place")] if others > 0 else names)


def _cause(cells: pl.DataFrame) -> str:
    """The reason if all cells have the same one, otherwise the range of their ratios."""
    reasons = cells.get_column("reason").drop_nulls().unique().to_list()
    if len(reasons) == 1:
        return f": {reasons[0].removesuffix('.')}"
    ratios = sorted(cells.get_column("effect").drop_nulls())
    return f": ratios of {range_text(ratios[0], ratios[-1])}" if ratios else ""
