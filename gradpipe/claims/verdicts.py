"""Verdicts: which claims the results support or contradict, and where they decide nothing.

A cell is a model (or a pair of twins) × benchmark × projection. Its p-value is corrected, by Holm's
method, for all the cells of the same claim that can be judged; claims are not corrected for one
another. A claim is supported over all where the interval of the cells' mean effect supports it and
no cell contradicts it; it is contradicted where that contradicts it and no cell supports it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.claims.bootstrap import (
    FEWEST_ITEMS,
    LEVEL,
    RESAMPLES,
    degrees_of_freedom,
    standard_error,
)
from gradpipe.claims.contrasts import Claim
from gradpipe.claims.decisions import decide, holm
from gradpipe.claims.effects import Effects, measure
from gradpipe.claims.overall import Share, combine, share_of
from gradpipe.claims.reasons import cell_reason, overall_reason
from gradpipe.claims.schemas import VERDICT_SCHEMA
from gradpipe.claims.values import CellValues, cell_values

Frame = pl.DataFrame | pl.LazyFrame

_RATIOS = ("effect", "low", "high")
_CELL = ("model", "against_model", "benchmark", "projection")
_OVERALL_TYPES = dict.fromkeys((*_RATIOS, "supported_p", "contradicted_p"), pl.Float64()) | {
    "items": pl.Int64()
}


def judge(
    claims: Sequence[Claim],
    cells: Iterable[Frame],
    twins: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """A verdict on each claim, over all and then cell by cell: a table of VERDICT_SCHEMA.

    ``cells`` are tables of statistics (gradpipe/statistics/table.py), one a model × benchmark, in
    any order; lazy ones are read one benchmark at a time. ``twins`` are pairs of (base, tuned). A
    claim that no cell has the curves for has no rows. Raises DataError where a table holds more
    than one model or benchmark.
    """
    statistics = {claim.statistic for claim in claims}
    frames: list[list[pl.DataFrame]] = [[] for _ in claims]
    shares: list[list[Share]] = [[] for _ in claims]
    for tables in _by_benchmark(cells):
        values = _values(tables, statistics)
        for place, effects in enumerate(measure(claims, values, twins, seed, resamples)):
            counted = [_countable(one) for one in effects]
            frames[place] += [
                _cells(claims[place], *pair) for pair in zip(effects, counted, strict=True)
            ]
            share = share_of(effects, counted)
            shares[place] += [share] if share is not None else []
    judged = zip(claims, frames, shares, strict=True)
    return pl.concat(
        [VERDICT_SCHEMA.to_frame(), *(_verdicts(*of_claim) for of_claim in judged if of_claim[1])]
    )


def _by_benchmark(cells: Iterable[Frame]) -> list[list[Frame]]:
    """The tables that have rows, those of each benchmark together, sorted by its name."""
    found: dict[str, list[Frame]] = {}
    for table in cells:
        first = table.lazy().select("benchmark").head(1).collect()
        if not first.is_empty():
            found.setdefault(first.item(), []).append(table)
    return [found[benchmark] for benchmark in sorted(found)]


def _values(tables: Sequence[Frame], statistics: set[str]) -> dict[tuple[str, str], CellValues]:
    """The statistics that the claims need, as far as the tables have them."""
    found = {}
    for table in tables:
        for statistic in sorted(statistics & set(table.lazy().collect_schema().names())):
            cell = cell_values(table, statistic)
            found[cell.model, statistic] = cell
    return found


def _countable(effects: Effects) -> NDArray[np.bool_]:
    """Which projections can be judged: enough items, a value, and more than noise."""
    finite = np.isfinite(effects.least.value) & np.isfinite(effects.most.value)
    return finite & (effects.items >= FEWEST_ITEMS)


def _cells(claim: Claim, effects: Effects, counted: NDArray[np.bool_]) -> pl.DataFrame:
    """A row a projection: log ratios, and p-values where it can be judged."""
    items = effects.items
    least, most = (
        (end.value, standard_error(end.resampled, items)) for end in (effects.least, effects.most)
    )
    decided = decide(least, most, degrees_of_freedom(items), claim.region)
    known = np.isfinite(decided.low) & np.isfinite(decided.high)
    numbers = {
        "effect": (effects.effect, np.isfinite(effects.effect)),
        "low": (decided.low, known),
        "high": (decided.high, known),
        "supported_p": (decided.supported_p, counted),
        "contradicted_p": (decided.contradicted_p, counted),
    }
    names = (effects.model, effects.against_model, effects.benchmark)
    return pl.DataFrame(
        {name: [value] * items.size for name, value in zip(_CELL, names, strict=False)}
        | {"projection": effects.projections, "items": items}
        | {"defined": effects.defined}
        | {name: np.where(kept, values, np.nan) for name, (values, kept) in numbers.items()},
        schema_overrides={"against_model": pl.String},
        nan_to_null=True,
    )


def _verdicts(
    claim: Claim, frames: Sequence[pl.DataFrame], shares: Sequence[Share]
) -> pl.DataFrame:
    """A claim's rows: the one over all, then the cells'."""
    cells = (
        _decided(pl.concat(frames), corrected=holm(pl.col("p")))
        .with_columns(pl.lit("cell").alias("level"), pl.col("p").count().alias("cells"))
        .sort("benchmark", "model", "against_model", "projection")
    )
    support, contradict = (
        pl.col("verdict").eq(verdict).sum().alias(name)
        for verdict, name in (("supported", "support"), ("contradicted", "contradict"))
    )
    overall = _decided(
        pl.DataFrame([combine(shares, claim.region)], schema_overrides=_OVERALL_TYPES),
        corrected=pl.col("p"),
    ).with_columns(
        pl.lit("overall").alias("level"),
        *(pl.lit(None, pl.String).alias(name) for name in _CELL),
        *cells.select(
            pl.col("p").count().alias("cells"),
            pl.len().alias("all_cells"),
            pl.col("items").max().alias("most_items"),
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
    return pl.concat(
        _as_verdicts(claim, frame, [say(claim, row) for row in frame.to_dicts()])
        for frame, say in ((overall, overall_reason), (cells, cell_reason))
    )


def _decided(frame: pl.DataFrame, corrected: pl.Expr) -> pl.DataFrame:
    """With ``p``, the smaller of the two, ``p_adjusted``, and the ``verdict`` that it gives."""
    sure = pl.col("p_adjusted") < 1 - LEVEL
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


def _as_verdicts(claim: Claim, frame: pl.DataFrame, reasons: Sequence[str]) -> pl.DataFrame:
    return frame.with_columns(
        pl.lit(claim.claim).alias("claim"),
        pl.Series("reason", reasons, pl.String),
        *(pl.col(name).exp() for name in _RATIOS),
    ).select(pl.col(name).cast(kind) for name, kind in VERDICT_SCHEMA.items())
