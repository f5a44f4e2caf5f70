"""Discrimination: how well one number per response distinguishes two kinds of responses.

Two measures, for each statistic and for the loss and the length, which cost no gradient: the AUROC
over all responses, and the share of items whose own two responses are in this order.

The variance of the AUROC is that of DeLong, with the responses of an item as one cluster
(Obuchowski 1997). It follows from ranks, so thousands of columns take the time of sorting them,
where a bootstrap would rank each resample. Both intervals are Wilson's, of a share among an
effective number of items, because a Wald interval covers too little for few items and is of width
zero when all responses are ordered correctly.
"""

from collections.abc import Sequence
from statistics import NormalDist

import polars as pl

from gradpipe.errors import DataError
from gradpipe.statistics.curves import CURVE_LABELS
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.statistics.sample_means import first_samples
from gradpipe.statistics.table import StatisticsFrame, with_labels

#: Known of every response without a gradient. Perplexity is exp(loss), so its ranks are the loss's.
BASELINES = ("loss", "response_tokens")
#: The label columns in which the two kinds of responses may differ.
KIND_COLUMNS = ("relevance", "style", "model")
#: Columns behind the labels of a row of ``discrimination``.
DISCRIMINATION_SCHEMA = pl.Schema(
    {
        "first": pl.String,
        "second": pl.String,
        "statistic": pl.String,
        "projection": pl.String,
        "layer": pl.Int64,
        "auroc": pl.Float64,
        "auroc_low": pl.Float64,
        "auroc_high": pl.Float64,
        "win_rate": pl.Float64,
        "win_rate_low": pl.Float64,
        "win_rate_high": pl.Float64,
        "first_responses": pl.Int64,
        "second_responses": pl.Int64,
        "items": pl.Int64,
    }
)
#: The columns of one number, and of one response.
_COLUMN = ("labels", "statistic", "projection", "layer")
_RESPONSE = ("labels", "item", "is_first")

_Z = NormalDist().inv_cdf(0.975)
#: Weight, in items, of the largest variance that independent responses allow, in the estimated
#: variance: with few items, or nearly all responses in order, the estimate alone is too small.
_PRIOR_ITEMS = 2


def discrimination(
    table: StatisticsFrame,
    statistics: Sequence[str] | None = None,
    *,
    column: str = "relevance",
    first: str = "irrelevant",
    second: str = "correct",
) -> pl.DataFrame:
    """Compute how well each statistic distinguishes two kinds of responses to the same items.

    The AUROC is the probability that a random response of the ``first`` kind has a larger value
    than a random one of the ``second``; ties count half. 0.5 is chance, 1 is perfect, and 0 is
    perfect in the other direction. The win rate is the share of items of which the first response
    has the larger value. An example without a finite value of a statistic at some layer of a
    projection is excluded from that whole curve, as in ``gp.curves``.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, or the table that
            ``extract_spectra`` returned. Missing label columns are filled as in
            ``gp.statistics_table``.
        statistics: Names of columns of ``table``, by default all of its statistics.
        column: The column in which the two kinds differ: "relevance", "style" or "model". They
            agree in all other labels.
        first: The value of ``column`` of the first kind.
        second: The value of ``column`` of the second kind.

    Returns:
        One row per comparison, ``statistic``, ``projection`` and ``layer``: the labels except
        ``column``; ``first`` and ``second``; ``layer``, null for the mean over layers of each
        example; ``auroc`` and ``win_rate`` with 95 % intervals (``auroc_low``, ``auroc_high``,
        ``win_rate_low``, ``win_rate_high``) in which the responses of an item are one cluster;
        ``first_responses``, ``second_responses`` and ``items``, those with both. The statistics
        "loss" and "response_tokens" are the baselines, with a null ``projection``, as far as
        ``table`` has them; perplexity would have the same values as the loss. Win rates are null
        without common items. Sorted by these columns up to ``layer``, means first.

    Raises:
        DataError: ``table`` is another kind of table, holds an example twice, or ``column`` is
            another column.
        StudyError: ``table`` has no such statistic.

    Examples:
        >>> texts = ["It is {}.", "Blue is a color, and {} is a number."]
        >>> pairs = [(f"Add {n} and {n}.", text.format(2 * n)) for text in texts for n in (2, 4)]
        >>> relevance = pl.when(pl.col("example") < 2).then(pl.lit("correct"))
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     item=pl.col("example") % 2, relevance=relevance.otherwise(pl.lit("irrelevant"))
        ... )
        >>> table = gp.discrimination(spectra, ["nuclear_norm"])
        >>> table.height  # 4 projections × (3 layers and their mean), loss, response tokens
        18
        >>> tokens = table.filter(statistic="response_tokens")
        >>> tokens["auroc"].item(), tokens["win_rate"].item(), tokens["items"].item()
        (1.0, 1.0, 2)
    """
    compared = two_kinds(table, column, first, second)
    present = compared.collect_schema().names()
    known = [name for name in REDUCTIONS if name in present]
    names = known if statistics is None else list(statistics)
    require_statistics(names, known)
    labels = labels_without(column)
    baselines = [name for name in BASELINES if name in present]
    rows = compared.select(
        pl.struct(labels).alias("labels"),
        pl.col("item_id").rank("dense").alias("item"),
        "is_first",
        "projection",
        "layer",
        *dict.fromkeys([*names, *baselines]),
    ).collect()
    refuse_repeated(rows, [*_RESPONSE, "projection", "layer"])
    # One statistic at a time, so that memory does not grow with their number.
    parts = [_of_responses(rows, baselines), *(_of_curves(rows, name) for name in names)]
    return (
        pl.concat(_measured(part) for part in parts)
        .with_columns(first=pl.lit(first), second=pl.lit(second))
        .unnest("labels")
        .select(*labels, *(pl.col(name).cast(kind) for name, kind in DISCRIMINATION_SCHEMA.items()))
        .sort(*labels, "statistic", "projection", "layer")
    )


def labels_without(column: str) -> list[str]:
    """The labels in which the two kinds of responses agree, if they differ in ``column``."""
    return [name for name in CURVE_LABELS if name not in (column, "projection")]


def two_kinds(table: StatisticsFrame, column: str, first: str, second: str) -> pl.LazyFrame:
    """The labeled rows of both kinds of responses, with ``is_first``.

    Raises DataError for another kind of table or of column.
    """
    if column not in KIND_COLUMNS:
        raise DataError(
            f"Responses cannot be distinguished by {column!r}: choose one of "
            f"{', '.join(KIND_COLUMNS)}."
        )
    rows = with_labels(table.lazy()).filter(pl.col(column).is_in([first, second]))
    # An item's samples are not independent: the first of each kind counts.
    rows = first_samples(rows, [*labels_without(column), column])
    return rows.with_columns(
        (pl.col(column) == first).alias("is_first"), pl.col("projection").cast(pl.String)
    )


def refuse_repeated(rows: pl.DataFrame, key: Sequence[str]) -> None:
    """Raise DataError if two rows have the same key."""
    if rows.select(key).is_duplicated().any():
        raise DataError(
            "The table holds an example twice: keep one row per model, benchmark, item, style, "
            "relevance, projection and layer."
        )


def _of_curves(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """A statistic's values per layer and their means over layers, of complete curves."""
    curve = [*_RESPONSE, "projection"]
    value = pl.col(name).cast(pl.Float64)
    usable = rows.filter(value.is_finite().fill_null(False).all().over(curve)).select(
        *curve, pl.col("layer").cast(pl.Int64), pl.lit(name).alias("statistic"), value=value
    )
    means = usable.group_by(*curve, "statistic", maintain_order=True).agg(
        pl.lit(None, pl.Int64).alias("layer"), pl.col("value").mean()
    )
    return pl.concat([usable, means.select(usable.columns)])


def _of_responses(rows: pl.DataFrame, baselines: Sequence[str]) -> pl.DataFrame:
    """The baselines of every response, in the columns of ``_of_curves``."""
    return (
        rows.group_by(_RESPONSE, maintain_order=True)
        .agg(pl.col(name).first().cast(pl.Float64) for name in baselines)
        .unpivot(on=list(baselines), index=_RESPONSE, variable_name="statistic")
        .with_columns(projection=pl.lit(None, pl.String), layer=pl.lit(None, pl.Int64))
        .select(*_RESPONSE, "projection", "layer", "statistic", pl.col("value").cast(pl.Float64))
        .filter(pl.col("value").is_finite())
    )


def _measured(values: pl.DataFrame) -> pl.DataFrame:
    """Both measures of every column of which there are responses of both kinds."""
    # Grouping by one number takes half the time of grouping by labels.
    columns = values.select(_COLUMN).unique().with_row_index("column")
    numbered = values.join(columns, on=_COLUMN, nulls_equal=True, maintain_order="left").drop(
        _COLUMN
    )
    side = ["column", "is_first"]
    value = pl.col("value")
    ranked = numbered.with_columns(
        rank=value.rank().over("column"),
        own_rank=value.rank().over(side),
        own=pl.len().over(side),
        other=pl.len().over("column") - pl.len().over(side),
    ).filter(pl.col("other") > 0)
    # Of the other kind's values, the share below this one; ties count half.
    below = (pl.col("rank") - pl.col("own_rank")) / pl.col("other")
    sign = pl.when("is_first").then(1.0).otherwise(-1.0)
    influence = sign * (below - below.mean().over(side)) / pl.col("own")
    is_first, paired = pl.col("is_first"), pl.col("paired")
    won = (1 + pl.col("lead").sign()) / 2
    per_item = (
        ranked.with_columns(below=below, influence=influence, signed=sign * value)
        .group_by("column", "item", maintain_order=True)
        .agg(
            pl.col("below").filter("is_first").sum(),
            pl.col("influence").sum(),
            pl.col("signed").sum().alias("lead"),
            is_first.sum().alias("firsts"),
            is_first.not_().sum().alias("seconds"),
        )
        .with_columns(paired=(pl.col("firsts") > 0) & (pl.col("seconds") > 0))
    )
    measured = per_item.group_by("column").agg(
        pl.col("firsts").sum().alias("first_responses"),
        pl.col("seconds").sum().alias("second_responses"),
        pl.len().cast(pl.Float64).alias("clusters"),
        paired.sum().alias("items"),
        (pl.col("below").sum() / pl.col("firsts").sum()).alias("auroc"),
        pl.col("influence").pow(2).sum().alias("squares"),
        won.filter(paired).mean().alias("win_rate"),
    )
    return measured.join(columns, on="column").with_columns(
        *auroc_interval(), *_wilson("win_rate", pl.col("items"))
    )


def auroc_interval() -> tuple[pl.Expr, pl.Expr]:
    """The 95 % interval of a column ``auroc``, as ``auroc_low`` and ``auroc_high``.

    The frame also has ``squares``, the sum of the squared influences of the ``clusters``, and the
    numbers ``first_responses`` and ``second_responses``.
    """
    return _wilson("auroc", _effective_items())


def _effective_items() -> pl.Expr:
    """How many items' share would have the variance of the AUROC.

    The variance of an AUROC A of m and n independent responses is at most A (1 − A) / min(m, n)
    (Birnbaum and Klose 1957).
    """
    area, clusters = pl.col("auroc"), pl.col("clusters")
    fewer = pl.min_horizontal("first_responses", "second_responses")
    largest = area * (1 - area) / fewer
    part = pl.col("squares") * clusters / (clusters - 1) / largest
    known = pl.when(part.is_finite()).then(part).otherwise(1.0)
    return fewer * (clusters + _PRIOR_ITEMS) / (clusters * known + _PRIOR_ITEMS)


def _wilson(share: str, items: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The ends of Wilson's 95 % interval of a share among ``items``, as ``share``_low and _high."""
    observed, weight = pl.col(share), _Z**2 / items
    center = (observed + weight / 2) / (1 + weight)
    spread = observed * (1 - observed) / items + weight / items / 4
    reach = _Z * spread.sqrt() / (1 + weight)
    return (
        (center - reach).clip(0, 1).alias(f"{share}_low"),
        (center + reach).clip(0, 1).alias(f"{share}_high"),
    )
