"""Correlation of a column of the user's own with each statistic, with length held constant.

Spearman's rho is Pearson's correlation of ranks. The partial rho correlates what is left of both
ranks after a linear regression on the ranks of the controls; a logarithm of a control changes
nothing, since it keeps the ranks.

Intervals are Fisher's, with the standard error √((1 + rho²/2) / (n − 3 − k)) of Bonett and Wright
(2000) for n examples and k controls. p-values are those of t = rho √(f / (1 − rho²)) with
f = n − 2 − k degrees of freedom. Both take examples to be independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.errors import DataError, nearest
from gradpipe.statistics.examples import MEASURED_COLUMNS
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.statistics.table import StatisticsFrame, with_labels

#: Each correlation with its interval, its p-value, and the p-value corrected for the whole table:
#: by Holm (1979), and by Benjamini and Hochberg (1995). "partial" ones hold the controls constant.
CORRELATION_SCHEMA = pl.Schema(
    {"statistic": pl.String, "projection": pl.String, "layer": pl.Int64, "examples": pl.Int64}
    | {
        f"{kind}{name}": pl.Float64
        for kind in ("", "partial_")
        for name in ("rho", "rho_low", "rho_high", "p", "p_holm", "p_bh")
    }
)
#: What else is known of each example, and correlated beside the statistics.
_BASELINES = ("loss", "response_tokens")
_EXAMPLE = ("model", "benchmark", "item_id", "index", "style", "relevance")
_PLACE = ("projection", "layer")
_Z = NormalDist().inv_cdf(0.975)
#: Of a column's variance, what is left if the controls determine it; the rest is rounding.
_ROUNDING = 1e-10

_Array = NDArray[np.float64]


def correlate(
    table: StatisticsFrame,
    column: str,
    statistics: Sequence[str] | None = None,
    *,
    controls: Sequence[str] = ("response_tokens",),
) -> pl.DataFrame:
    """Correlate a column with each statistic of each projection and layer, by Spearman's rho.

    The column is anything known of each example: a grade, a label of 0 and 1, another score. Most
    statistics change with the length of the response, so a column that does too correlates with
    them: read ``partial_rho``, which holds the length constant.

    Args:
        table: A statistics table of one model, as ``gp.statistics_table`` returns it, or the table
            that ``extract_spectra`` returned, with the column joined to it.
        column: The name of a numeric column with one value per example. Examples without a finite
            value are excluded.
        statistics: Names of columns of ``table``, by default all of its statistics.
        controls: Numeric columns to hold constant in the partial correlations.

    Returns:
        One row per ``statistic``, ``projection`` and ``layer``. A null ``layer`` is the mean over
        the layers of each example, a null ``projection`` the mean over all matrices, which is the
        score of ``gp.rank``. The statistics "loss" and "response_tokens" stand for themselves.
        ``examples`` (a count), ``rho`` with its 95 % interval (``rho_low``, ``rho_high``), ``p``,
        and ``p_holm`` and ``p_bh``, corrected for the whole table; the same with the prefix
        ``partial_``. Null where a column is constant, or where the controls determine it. An
        example without a finite value of a statistic at some layer of a projection is excluded from
        that whole curve, as in ``gp.curves``.

    Raises:
        DataError: ``table`` is another kind of table, holds an example twice or several models, or
            a column is missing or not numeric.
        StudyError: ``table`` has no such statistic.

    Examples:
        >>> pairs = [(f"Double {n}.", f"It is {2 * n}." + "!" * (n % 5)) for n in range(10, 19)]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> grades = pl.DataFrame({"example": range(9), "grade": [n % 5 for n in range(10, 19)]})
        >>> table = gp.correlate(spectra.join(grades, on="example"), "grade", ["effective_rank"])
        >>> table.height  # 4 projections × (3 layers and their mean), all, loss, response tokens
        19
        >>> tokens = table.filter(statistic="response_tokens")
        >>> tokens["rho"].item() > 0.99, tokens["partial_rho"].item()
        (True, None)
    """
    labeled = with_labels(table.lazy())
    present = labeled.collect_schema().names()
    known = [name for name in REDUCTIONS if name in present]
    names = known if statistics is None else list(statistics)
    require_statistics(names, known)
    _require_numeric(labeled.collect_schema(), [column, *controls])
    rows = labeled.with_columns(pl.col("projection").cast(pl.String)).collect()
    _require_one_row_each(rows)
    baselines = [name for name in _BASELINES if name in present]
    examples = _usable_examples(rows, [column, *controls])
    y = examples[column].to_numpy().astype(np.float64)
    z = examples.select(pl.col(controls).cast(pl.Float64)).to_numpy()
    numbered = rows.join(examples.select("number", *_EXAMPLE), on=_EXAMPLE)
    parts = [_places_of_baselines(examples, baselines)]
    # One statistic at a time, so that memory does not grow with their number.
    parts += [_places_of_statistic(numbered, name, len(y)) for name in names]
    frames = [labels.hstack(_correlations(values, y, z)) for labels, values in parts]
    return _with_corrections(pl.concat(frames)).select(
        pl.col(name).cast(kind) for name, kind in CORRELATION_SCHEMA.items()
    )


def _require_numeric(schema: pl.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in schema:
            raise DataError(
                f"The table has no column {name!r} to correlate: {nearest(name, list(schema))}"
            )
        if not (schema[name].is_numeric() or schema[name] == pl.Boolean):
            raise DataError(
                f"The column {name!r} has values of type {schema[name]}, which have no order: cast "
                "it to a number."
            )


def _require_one_row_each(rows: pl.DataFrame) -> None:
    if rows.select(*_EXAMPLE, *_PLACE).is_duplicated().any():
        raise DataError(
            "The table holds an example twice: keep one row per example, projection and layer."
        )
    models = rows["model"].unique()
    if len(models) > 1:
        raise DataError(
            f"The table holds {len(models)} models, whose examples are the same: keep one model's "
            "rows."
        )


def _usable_examples(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """One row per example with a finite value in each of ``columns``; its ``number`` from 0."""
    kept = dict.fromkeys([*_EXAMPLE, *columns, *MEASURED_COLUMNS])
    finite = [pl.col(name).cast(pl.Float64).is_finite() for name in columns]
    return (
        rows.select(name for name in kept if name in rows.columns)
        .unique(_EXAMPLE, keep="first", maintain_order=True)
        .filter(*finite)
        .with_row_index("number")
    )


def _places_of_baselines(
    examples: pl.DataFrame, names: Sequence[str]
) -> tuple[pl.DataFrame, _Array]:
    values = examples.select(pl.col(name).cast(pl.Float64) for name in names).to_numpy()
    return _labels([(name, None, None) for name in names]), values.reshape(-1, len(names))


def _places_of_statistic(
    rows: pl.DataFrame, name: str, examples: int
) -> tuple[pl.DataFrame, _Array]:
    """The labels and values [examples, places] of a statistic: layers, their means, all."""
    places = rows.select(_PLACE).unique().sort(_PLACE).with_row_index("place")
    located = rows.select("number", *_PLACE, pl.col(name).cast(pl.Float64)).join(places, on=_PLACE)
    values = np.full((examples, places.height), np.nan)
    values[located["number"].to_numpy(), located["place"].to_numpy()] = located[name].to_numpy()
    values[~np.isfinite(values)] = np.nan
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        overall = np.where(defined, values, 0.0).sum(1) / defined.sum(1)
    labels: list[tuple[str, str | None, int | None]] = [(name, None, None)]
    columns = [overall[:, None]]
    for (projection,), group in places.group_by("projection", maintain_order=True):
        # A missing value makes the sum missing, and so the whole curve of the example.
        curve = values[:, group["place"].to_numpy()]
        mean = curve.mean(1, keepdims=True)
        columns += [mean, np.where(np.isfinite(mean), curve, np.nan)]
        labels += [(name, str(projection), layer) for layer in (None, *group["layer"].to_list())]
    return _labels(labels), np.hstack(columns)


def _labels(rows: list[tuple[str, str | None, int | None]]) -> pl.DataFrame:
    schema = {name: CORRELATION_SCHEMA[name] for name in ("statistic", *_PLACE)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _correlations(values: _Array, y: _Array, z: _Array) -> pl.DataFrame:
    """The correlations of each column of ``values`` [n, c] with ``y`` [n], without and given ``z``.

    Columns with the same missing examples are ranked together.
    """
    count = values.shape[1]
    results = {name: np.full(count, np.nan) for name in CORRELATION_SCHEMA.names()[3:]}
    masks, pattern = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for number, mask in enumerate(masks.T):
        columns = np.flatnonzero(pattern.ravel() == number)
        x, own_y, own_z = _ranks(values[mask][:, columns]), _ranks(y[mask, None]), _ranks(z[mask])
        results["examples"][columns] = mask.sum()
        for kind, controls in (("", own_z[:, :0]), ("partial_", own_z)):
            for name, found in _spearman(x, own_y, controls).items():
                results[f"{kind}{name}"][columns] = found
    return pl.DataFrame(results).with_columns(pl.selectors.float().fill_nan(None))


def _ranks(values: _Array) -> _Array:
    """Ranks of each column, minus their mean; ties have their mean rank."""
    ranks = pl.DataFrame(values).select(pl.all().rank()).to_numpy().astype(np.float64)
    centered: _Array = ranks - ranks.mean(0) if len(ranks) else values
    return centered


def _spearman(x: _Array, y: _Array, z: _Array) -> dict[str, _Array]:
    """rho of each column of ranks ``x`` with ``y``, given ``z``, with interval and p-value."""
    from scipy.special import stdtr

    n = len(y)
    basis, sizes, _ = np.linalg.svd(z, full_matrices=False)
    basis = basis[:, sizes > sizes.max(initial=0.0) * _ROUNDING]
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = _cosines(_residuals(x, basis), _residuals(y, basis))
        free = n - 2 - basis.shape[1]
        p = 2 * stdtr(free, -np.abs(rho) * np.sqrt(free / (1 - rho**2))) if free > 0 else np.nan
        # Half a step below one, so that a perfect order of few examples is not taken as certain.
        inner = 1 - 6 / (n**3 - n) if n > 1 else np.nan
        center = np.arctanh(np.clip(rho, -inner, inner))
        reach = _Z * np.sqrt((1 + rho**2 / 2) / (free - 1)) if free > 1 else np.nan
    return {
        "rho": rho,
        "rho_low": np.tanh(center - reach),
        "rho_high": np.tanh(center + reach),
        "p": np.where(np.isnan(rho), np.nan, p),
    }


def _residuals(values: _Array, basis: _Array) -> _Array:
    """What a regression on ``basis`` leaves of each column; NaN if it leaves rounding errors."""
    left = values - basis @ (basis.T @ values)
    rounding = (left**2).sum(0) <= _ROUNDING * (values**2).sum(0)
    residuals: _Array = np.where(rounding, np.nan, left)
    return residuals


def _cosines(x: _Array, y: _Array) -> _Array:
    """The cosine of each column of ``x`` [n, c] with ``y`` [n, 1]."""
    cosines = (x * y).sum(0) / np.linalg.norm(x, axis=0) / np.linalg.norm(y, axis=0)
    clipped: _Array = np.clip(cosines, -1, 1)
    return clipped


def _with_corrections(table: pl.DataFrame) -> pl.DataFrame:
    """Correct both kinds of p-values for their number in the table."""
    corrected: dict[str, Any] = {}
    for name in ("p", "partial_p"):
        p = table[name].to_numpy()
        corrected[f"{name}_holm"], corrected[f"{name}_bh"] = _corrected(p)
    return table.with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in corrected.items()
    )


def _corrected(p: _Array) -> tuple[_Array, _Array]:
    """p-values after Holm's correction and after that of Benjamini and Hochberg; NaN stays NaN."""
    order = np.argsort(p)[: np.isfinite(p).sum()]
    tests, place = len(order), np.arange(len(order))
    holm, bh = np.full(len(p), np.nan), np.full(len(p), np.nan)
    holm[order] = np.maximum.accumulate(p[order] * (tests - place)).clip(max=1)
    bh[order] = np.minimum.accumulate((p[order] * tests / (place + 1))[::-1])[::-1]
    return holm, bh
