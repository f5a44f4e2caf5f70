"""What the results say beside the verdict on a claim: sentences by the claim's name."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import polars as pl

from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.claims.inference.power import USUAL_POWER, items_needed
from gradpipe.report.prose.comparisons import verdict_word
from gradpipe.report.prose.discrimination import auroc_notes
from gradpipe.report.prose.inference_notes import random_effects_text
from gradpipe.report.prose.length_line import length_line
from gradpipe.report.prose.phrases import count_text, interval_name, interval_text, ratio_text
from gradpipe.report.report_data import ReportInputs

#: A claim's name and a sentence about it, without its period.
Note = tuple[str, str]


def claim_notes(inputs: ReportInputs) -> dict[str, list[str]]:
    """The sentences that follow the summary of each claim's verdict, by the claim's name.

    The effect with length controlled for, apart from the curve's size, on verified responses, and
    in the populations of benchmarks and models; how single responses are distinguished; and the
    items that an undecided claim needs.
    """
    notes = defaultdict(list)
    for source in (
        _at_equal_length,
        _apart_from_size,
        _on_verified,
        _in_populations,
        _single_responses,
        _needed,
    ):
        for claim, sentence in source(inputs):
            notes[claim].append(sentence)
    return dict(notes)


def _at_equal_length(inputs: ReportInputs) -> Iterator[Note]:
    """The four figures on length of each claim on two styles, and whether its verdict survives."""
    for claim, row in _overall(inputs.verdicts).items():
        controls = inputs.length_control.filter(pl.col("claim") == claim)
        if line := length_line(controls, row["survives_length"]):
            yield claim, line


def _apart_from_size(inputs: ReportInputs) -> Iterator[Note]:
    """The verdict on what states the same of MAD / mean, which does not depend on size."""
    overall, claims = _overall(inputs.verdicts), _by_name(inputs.claims)
    for claim, beside in inputs.claims.select("claim", "scale_free").drop_nulls().rows():
        if beside in overall:
            name = "Relative to the curve's mean (MAD / mean)"
            yield claim, _beside(name, overall[beside], claims[beside])


def _on_verified(inputs: ReportInputs) -> Iterator[Note]:
    claims = _by_name(inputs.claims)
    for claim, row in _overall(inputs.verified).items():
        yield claim, _beside("On verified responses alone", row, claims[claim])


def _in_populations(inputs: ReportInputs) -> Iterator[Note]:
    for (claim,), rows in inputs.random_effects.group_by("claim", maintain_order=True):
        if text := random_effects_text(rows):
            yield str(claim), text


def _single_responses(inputs: ReportInputs) -> Iterator[Note]:
    yield from auroc_notes(inputs.discrimination).items()


def _needed(inputs: ReportInputs) -> Iterator[Note]:
    for plan in items_needed(inputs.verdicts, inputs.claims).to_dicts():
        if plan["verdict"] == "undecided" and (sentence := needed_items(plan)):
            yield plan["claim"], sentence


def needed_items(plan: dict[str, Any]) -> str | None:
    """The items that decide a claim; ``plan`` is a row of POWER_SCHEMA. None if there is no number.

    A pilot with too few items says only how many more are required.
    """
    items, needed = plan["items"], plan["items_needed"]
    if items is None or needed is None:
        return None
    if items < MIN_ITEMS:
        more = count_text(MIN_ITEMS - items, "more item")
        return f"At least {more} per benchmark would be required"
    if needed <= items:
        return None
    return (
        f"If the ratio is as measured, about {count_text(needed, 'item')} per benchmark decide it "
        f"with {USUAL_POWER:.0%} power; this study has {count_text(items, 'item')} at most"
    )


def _by_name(claims: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["claim"]: row for row in claims.to_dicts()}


def _overall(verdicts: pl.DataFrame) -> dict[str, dict[str, Any]]:
    rows = verdicts.filter(pl.col("level") == "overall").to_dicts()
    return {row["claim"]: row for row in rows}


def _beside(name: str, overall: dict[str, Any], claim: dict[str, Any]) -> str:
    """The ratio of another overall verdict on ``claim``, with its interval and verdict."""
    verdict = verdict_word(overall["verdict_study"] or overall["verdict"], claim["source"])
    if overall["effect"] is None:
        return f"{name}: {verdict}"
    ends = overall["low"], overall["high"]
    interval = interval_text(overall["effect"], *ends, interval_name(claim))
    return f"{name}: {ratio_text(overall['effect'])} ({interval}), {verdict}"
