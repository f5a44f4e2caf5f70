"""Verdicts: which claims the results support, contradict or leave undecided.

A cell is a model (or a tuned model and its base), benchmark and projection. Its p-value is adjusted
by Holm's method for all cells of the same claim that can be judged; there is no correction across
claims. A claim is supported overall if the interval of the cells' mean effect supports it and no
cell contradicts it, and contradicted overall if that interval contradicts it and no cell supports
it. A claim about each layer is about each cell too: a mean would let opposite cells cancel. It is
supported if all cells are within the margin, without a correction for their number, and
contradicted if a cell is outside and none supports it.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.claims.bootstrap import (
    CONFIDENCE_LEVEL,
    MIN_ITEMS,
    RESAMPLES,
    standard_error,
)
from gradpipe.claims.contrasts import Claim
from gradpipe.claims.decisions import decide, holm
from gradpipe.claims.effects import Effects
from gradpipe.claims.layers import decide_layers
from gradpipe.claims.length_control import length_control
from gradpipe.claims.measured_claims import measure_all
from gradpipe.claims.overall import (
    BenchmarkTotal,
    benchmark_total,
    combine_layer_cells,
    combine_totals,
)
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.reasons import cell_agreement, cell_reason, overall_reason
from gradpipe.claims.schemas import VERDICT_SCHEMA
from gradpipe.claims.survival import with_survival
from gradpipe.claims.values import read_values, split_cells, tables_by_benchmark
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.statistics.table import StatisticsFrame, with_labels

_RATIOS = ("effect", "low", "high")
_CELL = ("model", "against_model", "benchmark", "projection")
_OVERALL_TYPES = dict.fromkeys((*_RATIOS, "supported_p", "contradicted_p"), pl.Float64()) | {
    "items": pl.Int64(),
    "layers": pl.Int64(),
    "outside": pl.Int64(),
}


def judge(
    table: StatisticsFrame | Sequence[StatisticsFrame],
    claims: Sequence[Claim | str] = PAPER_CLAIMS,
    *,
    model_pairs: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
    controls: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Judge claims: which ones the results support, contradict or leave undecided.

    A claim compares curves of a statistic, by their size or by their MAD. Items are resampled with
    replacement, 8 at least are required, and the verdict follows from 95 % intervals. If ``table``
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
        controls: The table of ``gradpipe.claims.length_control``, computed unless it is given.

    Returns:
        One row per verdict: for each claim first that over all cells (``level`` "overall"), then
        one per ``model``, ``benchmark`` and ``projection`` (``level`` "cell"). ``verdict`` is
        "supported", "contradicted" or "undecided" and ``reason`` explains it; ``agreement`` says
        how many cells support and contradict the claim. ``effect`` is the ratio that the claim is
        about, with its 95 % interval ``low`` to ``high``; ``p`` is two-sided, ``p_adjusted``
        corrected for the claim's cells (Holm); ``items`` is a count. ``pairing`` is "response" if
        irrelevant responses are compared with the same texts, "unpaired" if the responses belong to
        different items, otherwise "item". ``survives_length`` says whether an overall verdict on
        two styles remains with length controlled for: "yes", "no", "reversed" or "cannot be told"
        (null for other claims). Claims about curves that the table does not have are skipped.

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
    tables = _tables(table)
    parsed = _parsed(claims, tables)
    statistics = {name for claim in parsed for name in claim.statistics}
    cells: list[list[pl.DataFrame]] = [[] for _ in parsed]
    totals: list[list[BenchmarkTotal]] = [[] for _ in parsed]
    for of_benchmark in tables_by_benchmark(tables):
        values = read_values(of_benchmark, statistics)
        measured = measure_all(parsed, values, model_pairs, seed, resamples)
        for index, effects in enumerate(measured):
            counted = [_countable(one) for one in effects]
            cells[index] += [
                _cells(parsed[index], *pair) for pair in zip(effects, counted, strict=True)
            ]
            total = benchmark_total(effects, counted)
            totals[index] += [total] if total is not None else []
    judged = zip(parsed, cells, totals, strict=True)
    verdicts = [VERDICT_SCHEMA.to_frame(), *(_verdicts(*part) for part in judged if part[1])]
    if controls is None:
        controls = length_control(tables, parsed, seed=seed, resamples=resamples)
    return with_survival(pl.concat(verdicts), controls)


def _tables(table: StatisticsFrame | Sequence[StatisticsFrame]) -> list[pl.LazyFrame]:
    """The tables of single cells, with all label columns."""
    if isinstance(table, pl.DataFrame | pl.LazyFrame):
        return list(split_cells(table).values())
    return [with_labels(cell.lazy()) for cell in table]


def _parsed(claims: Sequence[Claim | str], tables: Sequence[pl.LazyFrame]) -> list[Claim]:
    if not any(isinstance(claim, str) for claim in claims):
        return [claim for claim in claims if isinstance(claim, Claim)]
    columns = {name for table in tables for name in table.collect_schema().names()}
    known = [name for name in REDUCTIONS if name in columns]
    return [parse_claim(claim, known) if isinstance(claim, str) else claim for claim in claims]


def _countable(effects: Effects) -> NDArray[np.bool_]:
    """Which projections can be judged: enough items, and a value that is more than noise."""
    finite = np.isfinite(effects.lower.value) & np.isfinite(effects.upper.value)
    return finite & (effects.items >= MIN_ITEMS)


def _cells(claim: Claim, effects: Effects, counted: NDArray[np.bool_]) -> pl.DataFrame:
    """One row per projection: log ratios, and p-values if it can be judged."""
    items = effects.items
    lower, upper = (
        (end.value, standard_error(end.resampled, effects.units))
        for end in (effects.lower, effects.upper)
    )
    free = effects.degrees_of_freedom
    decided, counts = decide(lower, upper, free, claim.region), {}
    if effects.layers is not None:
        decided = decide_layers(effects.layers, effects.units, free, claim.region)
        counts = {"layers": decided.layers, "outside": decided.outside}
    known = np.isfinite(decided.low) & np.isfinite(decided.high)
    numbers = {
        "effect": (effects.effect, np.isfinite(effects.effect)),
        "low": (decided.low, known),
        "high": (decided.high, known),
        "supported_p": (decided.supported_p, counted),
        "contradicted_p": (decided.contradicted_p, counted),
    }
    labels = {
        "model": effects.model,
        "against_model": effects.against_model,
        "benchmark": effects.benchmark,
        "pairing": effects.pairing,
    }
    return pl.DataFrame(
        {name: [value] * items.size for name, value in labels.items()}
        | {"projection": effects.projections, "items": items}
        | {"defined": effects.defined}
        | {name: np.where(kept, values, np.nan) for name, (values, kept) in numbers.items()}
        | counts,
        schema_overrides={"against_model": pl.String},
        nan_to_null=True,
    )


def _verdicts(
    claim: Claim, frames: Sequence[pl.DataFrame], totals: Sequence[BenchmarkTotal]
) -> pl.DataFrame:
    """The rows of one claim: the overall verdict, then those of the cells."""
    cells = (
        _decided(pl.concat(frames), corrected=holm(pl.col("p")))
        .with_columns(pl.lit("cell").alias("level"), pl.col("p").count().alias("cells"))
        .sort("benchmark", "model", "against_model", "projection")
    )
    support, contradict = (
        pl.col("verdict").eq(verdict).sum().alias(name)
        for verdict, name in (("supported", "support"), ("contradicted", "contradict"))
    )
    items = sum(total.items for total in totals)
    combined = (
        combine_layer_cells(cells) | {"items": items or None}
        if claim.quantity == "layers"
        else combine_totals(totals, claim.region)
    )
    overall = _decided(
        pl.DataFrame([combined], schema_overrides=_OVERALL_TYPES),
        corrected=pl.col("p"),
    ).with_columns(
        pl.lit("overall").alias("level"),
        *(pl.lit(None, pl.String).alias(name) for name in _CELL),
        *cells.select(
            pl.col("p").count().alias("cells"),
            pl.len().alias("all_cells"),
            pl.col("items").max().alias("most_items"),
            pl.when(pl.col("pairing").n_unique() == 1)
            .then(pl.col("pairing").first())
            .otherwise(pl.lit("mixed"))
            .alias("pairing"),
            support,
            contradict,
        ),
    )
    agreed = (
        pl.when(pl.col("verdict") == "supported", pl.col("contradict") > 0)
        .then(pl.lit("undecided"))
        .when(pl.col("verdict") == "contradicted", pl.col("support") > 0)
        .then(pl.lit("undecided"))
        .otherwise("verdict")
    )
    overall = overall.with_columns(agreed.alias("verdict"))
    overall_rows = overall.to_dicts()
    explained = (
        overall.with_columns(
            pl.Series("reason", [overall_reason(claim, row) for row in overall_rows], pl.String),
            pl.Series("agreement", [cell_agreement(row) for row in overall_rows], pl.String),
        ),
        cells.with_columns(
            pl.Series("reason", [cell_reason(claim, row) for row in cells.to_dicts()], pl.String),
            pl.lit(None, pl.String).alias("agreement"),
        ),
    )
    return pl.concat(_as_verdicts(claim, frame) for frame in explained)


def _decided(frame: pl.DataFrame, corrected: pl.Expr) -> pl.DataFrame:
    """Add ``p`` (the smaller of the two), ``p_adjusted`` and the resulting ``verdict``."""
    sure = pl.col("p_adjusted") < 1 - CONFIDENCE_LEVEL
    return (
        frame.with_columns(pl.min_horizontal("supported_p", "contradicted_p").alias("p"))
        .with_columns(corrected.alias("p_adjusted"))
        .with_columns(
            pl.when(sure, pl.col("supported_p") <= pl.col("contradicted_p"))
            .then(pl.lit("supported"))
            .when(sure)
            .then(pl.lit("contradicted"))
            .otherwise(pl.lit("undecided"))
            .alias("verdict")
        )
    )


def _as_verdicts(claim: Claim, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows in VERDICT_SCHEMA, with ratios instead of their logs."""
    return frame.with_columns(
        pl.lit(claim.claim).alias("claim"),
        pl.lit(None).alias("survives_length"),
        *(pl.col(name).exp() for name in _RATIOS),
    ).select(pl.col(name).cast(kind) for name, kind in VERDICT_SCHEMA.items())
