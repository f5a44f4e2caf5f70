"""Verdicts: which claims the results support, contradict or leave undecided.

The verdicts on single claims are those of gradpipe/claims/verdict_rows.py, where p-values are
corrected for the cells of a claim. ``verdict_study`` is corrected for all claims too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.bootstrap import RESAMPLES
from gradpipe.claims.inference.correction import Correction, correct_for_study
from gradpipe.claims.inference.random_effects import (
    BenchmarkSums,
    benchmark_sums,
    random_effects_of,
)
from gradpipe.claims.length.control import length_control
from gradpipe.claims.length.survival import with_survival
from gradpipe.claims.measured_claims import measure_all
from gradpipe.claims.overall import BenchmarkTotal, benchmark_total
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parsed_claims
from gradpipe.claims.schemas import RANDOM_EFFECTS_SCHEMA, VERDICT_SCHEMA
from gradpipe.claims.values import read_values, tables_by_benchmark, tables_of_cells
from gradpipe.claims.verdict_rows import cell_rows, claim_verdicts
from gradpipe.statistics.table import StatisticsFrame


class Judgment(NamedTuple):
    """The verdicts on claims (VERDICT_SCHEMA), their RANDOM_EFFECTS_SCHEMA and length control."""

    verdicts: pl.DataFrame
    random_effects: pl.DataFrame
    length_control: pl.DataFrame


def judge(
    table: StatisticsFrame | Sequence[StatisticsFrame],
    claims: Sequence[Claim | str] = PAPER_CLAIMS,
    *,
    model_pairs: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
    correction: Correction = "study",
) -> pl.DataFrame:
    """Judge claims: which ones the results support, contradict or leave undecided.

    A claim compares curves of a statistic, by their size or by their MAD. Items are resampled with
    replacement, 8 at least are required, and the verdict follows from 95 % intervals (90 % for a
    claim that a ratio is within a margin or not above it, an equivalence test). If ``table``
    says from which item each irrelevant response was taken, claims on relevance compare each
    response with itself, behind another instruction and behind its own.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, of any number of models
            and benchmarks. Or a sequence of tables, each of one model and benchmark; scanned ones
            are then read one benchmark at a time. An optional column ``donor_item_id`` says of
            which item an irrelevant response is the correct response.
        claims: Claims, or their text, such as ``"none > detailed on mad of nuclear_norm"`` or
            ``"detailed irrelevant > detailed on effective_rank in early layers"``. By default the
            paper's claims.
        model_pairs: (base, tuned) names of models, for claims that compare the two.
        seed: Seed of the resamples.
        resamples: Number of resamples.
        correction: Over which claims ``p_study`` and ``verdict_study`` are corrected: "study" for
            all that are judged, or "none".

    Returns:
        One row per verdict: for each claim first that over all cells (``level`` "overall"), then
        one per ``model``, ``benchmark`` and ``projection`` (``level`` "cell"). ``verdict`` is
        "supported", "contradicted" or "undecided" and ``reason`` explains it; ``agreement`` says
        how many cells support and contradict the claim. ``effect`` is the ratio that the claim is
        about, with its 95 % interval ``low`` to ``high``; ``p`` is two-sided, ``p_adjusted``
        corrected for the claim's cells (Holm); ``items`` is a count. ``pairing`` is "response" if
        irrelevant responses are compared with the same texts, "unpaired" if the responses belong to
        different items, otherwise "item". Overall, ``survives_length`` says whether a verdict on
        two styles remains with length controlled for ("yes", "no", "reversed" or "cannot be told";
        null for other claims), ``p_study`` and ``verdict_study`` are corrected for all claims, and
        ``independent_cells`` says how many uncorrelated cells the claim's cells are worth. Claims
        about curves that the table does not have are skipped.

    Raises:
        DataError: ``table`` is another kind of table, or holds an example twice.
        StudyError: The text of a claim is malformed or names a statistic that ``table`` does not
            have.

    Examples:
        >>> questions = [f"What is {n} plus {n}?" for n in range(10)]
        >>> answers = {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."}
        >>> table = pl.concat(
        ...     gp.extract_spectra(
        ...         model, tokenizer, [(q, text.format(2 * n)) for n, q in enumerate(questions)]
        ...     ).with_columns(style=pl.lit(style))
        ...     for style, text in answers.items()
        ... )
        >>> verdicts = gp.judge(table, ["none > detailed on nuclear_norm"])
        >>> verdicts["level"].to_list()  # overall, and one cell per projection
        ['overall', 'cell', 'cell', 'cell', 'cell']
        >>> verdicts.filter(level="overall").select("verdict", "items").row(0)
        ('supported', 10)
    """
    return judge_claims(
        table,
        claims,
        model_pairs=model_pairs,
        seed=seed,
        resamples=resamples,
        correction=correction,
    ).verdicts


def judge_claims(
    table: StatisticsFrame | Sequence[StatisticsFrame],
    claims: Sequence[Claim | str],
    *,
    model_pairs: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
    correction: Correction = "study",
    controls: pl.DataFrame | None = None,
) -> Judgment:
    """Judge claims and estimate their random effects; see ``judge``.

    ``controls`` is the table of ``length_control``, computed unless it is given.
    """
    tables = tables_of_cells(table)
    parsed = parsed_claims(claims, tables)
    statistics = {name for claim in parsed for name in claim.statistics}
    cells: list[list[pl.DataFrame]] = [[] for _ in parsed]
    totals: list[list[BenchmarkTotal]] = [[] for _ in parsed]
    sums: list[list[BenchmarkSums]] = [[] for _ in parsed]
    for of_benchmark in tables_by_benchmark(tables):
        values = read_values(of_benchmark, statistics)
        measured = measure_all(parsed, values, model_pairs, seed, resamples)
        for index, effects in enumerate(measured):
            counted = [one.can_be_judged for one in effects]
            cells[index] += [
                cell_rows(parsed[index], *pair) for pair in zip(effects, counted, strict=True)
            ]
            total = benchmark_total(effects, counted)
            totals[index] += [total] if total is not None else []
            of_models = benchmark_sums(effects, counted)
            sums[index] += [of_models] if of_models is not None else []
    judged = zip(parsed, cells, totals, strict=True)
    verdicts = pl.concat(
        [VERDICT_SCHEMA.to_frame(), *(claim_verdicts(*part) for part in judged if part[1])]
    )
    spread = [random_effects_of(*part) for part in zip(parsed, sums, strict=True)]
    if controls is None:
        controls = length_control(tables, parsed, seed=seed, resamples=resamples)
    corrected = correct_for_study(with_survival(verdicts, controls), parsed, correction)
    return Judgment(
        corrected.select(VERDICT_SCHEMA.names()),
        pl.concat([RANDOM_EFFECTS_SCHEMA.to_frame(), *spread]),
        controls,
    )
