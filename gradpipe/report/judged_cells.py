"""The verdicts that a report shows: on all responses, on verified ones, and at equal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.correction import Correction, correct_for_study
from gradpipe.claims.length.control import length_control
from gradpipe.claims.quality.claims import ALL_SEQUEL_CLAIMS
from gradpipe.claims.quality.verdicts import judge_sequel
from gradpipe.claims.schemas import LENGTH_CONTROL_SCHEMA, VERDICT_SCHEMA
from gradpipe.claims.verdicts import judge_claims
from gradpipe.report.cell_results import EXAMPLE_LABELS, CellResults
from gradpipe.responses.verified import verified_examples
from gradpipe.styles import QUALITY_STYLES


class JudgedCells(NamedTuple):
    """The ``claims`` that were judged, and the tables of VERDICT_SCHEMA and others about them.

    ``verified`` has overall verdicts without the responses that failed the gates; it is empty if
    none failed.
    """

    claims: Sequence[Claim]
    verdicts: pl.DataFrame
    verified: pl.DataFrame
    random_effects: pl.DataFrame
    length_control: pl.DataFrame


def judge_cells(
    cells: Sequence[CellResults],
    claims: Sequence[Claim],
    twins: Sequence[tuple[str, str]],
    seed: int,
    correction: Correction,
    *,
    also_verified: bool = True,
) -> JudgedCells:
    """Judge ``claims``, and the sequel's if the cells have data of low and of high quality.

    ``twins`` are (base, tuned) models. ``correction`` is over all claims that are judged. Without
    ``also_verified``, the verdicts on verified responses are left out.
    """
    tables = [cell.statistics_with_donors() for cell in cells]
    controls = length_control(tables, claims, seed=seed)
    judged = judge_claims(tables, claims, model_pairs=twins, seed=seed, controls=controls)
    verdicts, verified = judged.verdicts, VERDICT_SCHEMA.to_frame()
    if also_verified:
        verified = _on_verified(cells, tables, claims, twins, seed, correction=correction)
    if _have_both_qualities(cells):
        sequel = judge_sequel(
            [cell.statistics for cell in cells], [cell.alignments for cell in cells], seed=seed
        )
        names = set(sequel.verdicts["claim"])
        claims = [*claims, *(claim for claim in ALL_SEQUEL_CLAIMS if claim.claim in names)]
        verdicts = pl.concat([verdicts, sequel.verdicts])
        controls = pl.concat([controls, sequel.length_control])
    return JudgedCells(
        claims=claims,
        verdicts=correct_for_study(verdicts, claims, correction).select(VERDICT_SCHEMA.names()),
        verified=verified,
        random_effects=judged.random_effects,
        length_control=controls,
    )


def _have_both_qualities(cells: Sequence[CellResults]) -> bool:
    styles = {
        style
        for cell in cells
        for style in cell.examples.select("style").unique().collect()["style"]
    }
    return set(QUALITY_STYLES) <= styles


def _on_verified(
    cells: Sequence[CellResults],
    tables: Sequence[pl.LazyFrame],
    claims: Sequence[Claim],
    twins: Sequence[tuple[str, str]],
    seed: int,
    *,
    correction: Correction,
) -> pl.DataFrame:
    """The overall verdicts without the responses that failed the gates."""
    examples = [
        cell.examples.select(*EXAMPLE_LABELS, "donor_item_id", "verdict").collect()
        for cell in cells
    ]
    verified = [verified_examples(part) for part in examples]
    if all(part.height == kept.height for part, kept in zip(examples, verified, strict=True)):
        return VERDICT_SCHEMA.to_frame()
    kept_tables = [
        table.join(
            kept.lazy().select(EXAMPLE_LABELS), on=EXAMPLE_LABELS, how="semi", maintain_order="left"
        )
        for table, kept in zip(tables, verified, strict=True)
    ]
    no_controls = LENGTH_CONTROL_SCHEMA.to_frame()
    verdicts = judge_claims(
        kept_tables,
        claims,
        model_pairs=twins,
        seed=seed,
        correction=correction,
        controls=no_controls,
    ).verdicts
    return verdicts.filter(pl.col("level") == "overall")
