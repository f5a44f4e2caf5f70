"""Curves: a statistic's mean over examples, per layer."""

from collections.abc import Sequence

import polars as pl

from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.statistics.sample_means import mean_of_samples
from gradpipe.statistics.table import StatisticsFrame, with_labels

#: The columns that, with ``statistic``, identify one curve.
CURVE_LABELS = ("model", "benchmark", "family", "style", "relevance", "projection")


def curves(table: StatisticsFrame, statistics: Sequence[str] | None = None) -> pl.DataFrame:
    """Average each statistic over examples, layer by layer.

    As in the paper's code, an example that has no finite value of a statistic at some layer of a
    projection is excluded from that whole curve. The samples that a model wrote for one item count
    as one example, with the mean of their values.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, of any number of models
            and benchmarks; or the table that ``extract_spectra`` returned. Missing label columns
            are filled as in ``gp.statistics_table``.
        statistics: Names of columns of ``table``, by default all of its statistics.

    Returns:
        One row per curve and layer: ``model``, ``benchmark``, ``family``, ``style``,
        ``relevance``, ``projection``, ``statistic``, ``layer``, ``mean`` and ``sd`` (in the
        statistic's unit; ``sd`` is null for a single example) and ``examples`` (a count). Sorted
        by these columns up to ``layer``.

    Raises:
        DataError: ``table`` is another kind of table.
        StudyError: ``table`` has no such statistic.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> table = gp.statistics_table(gp.extract_spectra(model, tokenizer, pairs))
        >>> curves = gp.curves(table, ["nuclear_norm"])
        >>> curves.height  # 4 projections, 3 layers
        12
        >>> query = curves.filter(projection="q")
        >>> query["layer"].to_list(), query["examples"].to_list()
        ([0, 1, 2], [2, 2, 2])
    """
    labeled = with_labels(table.lazy())
    known = [name for name in REDUCTIONS if name in labeled.collect_schema().names()]
    names = known if statistics is None else list(statistics)
    require_statistics(names, known)
    example = [*CURVE_LABELS, "item_id"]
    # Read once; most statistics are finite everywhere, and need no look at each example.
    read = labeled.select(*example, "layer", *(pl.col(n).cast(pl.Float64) for n in names)).collect()
    partly = [name for name in names if not read.select(_finite(name).all()).item()]
    whole = {name: _finite(name).all().over(example) for name in partly}
    kept = read.with_columns(
        pl.when(is_whole).then(pl.col(name)).alias(name) for name, is_whole in whole.items()
    )
    kept = mean_of_samples(kept, [*example, "layer"], names)
    means = (
        kept.lazy()
        .group_by(*CURVE_LABELS, "layer")
        .agg(
            pl.struct(
                pl.col(name).mean().alias("mean"),
                pl.col(name).std().alias("sd"),
                pl.col(name).count().cast(pl.Int64).alias("examples"),
            ).alias(name)
            for name in names
        )
    )
    return (
        means.unpivot(
            on=names, index=[*CURVE_LABELS, "layer"], variable_name="statistic", value_name="curve"
        )
        .unnest("curve")
        .filter(pl.col("examples") > 0)
        .select(*CURVE_LABELS, "statistic", "layer", "mean", "sd", "examples")
        .sort(*CURVE_LABELS, "statistic", "layer")
        .collect()
    )


def _finite(name: str) -> pl.Expr:
    return pl.col(name).is_finite().fill_null(False)
