"""Tables of results shaped for charts: ratios, errors, and the order of rows."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from gradpipe.report.style import in_order, style_labels
from gradpipe.statistics.differences import LARGEST_LAYERS
from gradpipe.styles import KNOWLEDGE_STYLES, own_style_pairs

IS_KNOWLEDGE = pl.col("style").is_in(list(KNOWLEDGE_STYLES))

#: The columns that identify a curve.
CURVE_KEYS = ("model", "benchmark", "style", "relevance", "projection", "statistic")

#: An error band is cut at this share of the mean, so that a logarithmic scale can show it.
LEAST_BAND = 0.01

#: Pairs of built-in styles whose curves are divided: numerator, denominator.
RATIOS = (
    ("none", "simplified"),
    ("none", "detailed"),
    ("simplified", "detailed"),
    ("none_padded", "simplified"),
    ("simplified", "detailed_cut"),
    ("answer_only", "thinking"),
    ("length_100", "length_500"),
    ("length_100", "length_1000"),
)

#: The largest number of ranks of a spectrum that are drawn.
MOST_RANKS = 40


def finite(column: str) -> pl.Expr:
    """The column with NaN and infinity as null, which is neither drawn nor averaged."""
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value).alias(column)


def with_errors(curves: pl.DataFrame) -> pl.DataFrame:
    """Curves with the standard error of each mean (``se``; null for fewer than two examples)."""
    error = finite("sd") / pl.col("examples").cast(pl.Float64).sqrt()
    return curves.with_columns(
        finite("mean"), pl.when(pl.col("examples") > 1).then(error).alias("se")
    )


def drawn_curves(curves: pl.DataFrame) -> pl.DataFrame:
    """Curves with finite means and the band ``low`` to ``high`` around each."""
    mean, error = pl.col("mean"), pl.col("se").fill_null(0.0)
    return with_errors(curves).with_columns(
        pl.max_horizontal(mean - error, mean * LEAST_BAND).alias("low"),
        (mean + error).alias("high"),
    )


def distinct(frame: pl.DataFrame, column: str) -> list[str]:
    """The distinct values of a column, in the order they are shown."""
    return in_order(column, frame.get_column(column).drop_nulls().unique().to_list())


def ratio_pairs(styles: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of some styles whose curves are divided: numerator, denominator."""
    present = in_order("style", list(styles))
    built_in = [pair for pair in RATIOS if set(pair) <= set(present)]
    return [*built_in, *own_style_pairs(present, present)]


def in_reading_order(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Rows sorted by columns, whose values have the order of `style.order_of`."""
    if frame.is_empty():
        return frame
    ranks = [
        pl.col(c).replace_strict(
            {value: rank for rank, value in enumerate(distinct(frame, c))},
            default=None,
            return_dtype=pl.Int64,
        )
        for c in columns
    ]
    return frame.sort(ranks, nulls_last=True, maintain_order=True)


def style_ratio_table(curves: pl.DataFrame) -> pl.DataFrame:
    """One style's curve divided by another's (`ratio_pairs`), layer by layer, from `drawn_curves`.

    ``pair`` names both; ``ratio`` has the error ``se``, by the delta method as if the two means
    were independent: se(a/b) = a/b · √((se(a)/a)² + (se(b)/b)²). The band is ``low`` to ``high``.
    """
    compared = ratio_pairs(curves["style"].unique())
    pairs = pl.DataFrame(compared, schema={"style": pl.String, "under": pl.String}, orient="row")
    over = curves.join(pairs, on="style")
    under = curves.rename({"style": "under"})
    both = over.join(under, on=[*_of_ratio("style"), "under"], suffix="_under")
    names = [pl.col(name).replace(style_labels()) for name in ("style", "under")]
    return _divided(both).with_columns(pl.concat_str(names, separator=" / ").alias("pair"))


def relevance_ratio_table(curves: pl.DataFrame) -> pl.DataFrame:
    """The irrelevant curve divided by the correct one per layer, as in `style_ratio_table`."""
    over = curves.filter(pl.col("relevance") == "irrelevant")
    under = curves.filter(pl.col("relevance") == "correct")
    return _divided(over.join(under, on=_of_ratio("relevance"), suffix="_under"))


def layer_differences(curves: pl.DataFrame, most: int = LARGEST_LAYERS) -> pl.DataFrame:
    """RD before its mean over layers: |correct − irrelevant| / |correct|, as ``rd``.

    ``largest`` marks the ``most`` layers of each curve with the largest values.
    """
    ratios = relevance_ratio_table(curves).with_columns((pl.col("ratio") - 1).abs().alias("rd"))
    rank = pl.col("rd").rank("ordinal", descending=True).over(_of_ratio("relevance", "layer"))
    return ratios.with_columns((rank <= most).alias("largest"))


def _of_ratio(*without: str) -> list[str]:
    return [key for key in (*CURVE_KEYS, "layer") if key not in without]


def _divided(both: pl.DataFrame) -> pl.DataFrame:
    ratio = pl.col("mean") / pl.col("mean_under")
    shares = [(pl.col(f"se{end}") / pl.col(f"mean{end}")) ** 2 for end in ("", "_under")]
    error = pl.col("ratio") * (shares[0] + shares[1]).sqrt()
    divided = both.filter(pl.col("mean") > 0, pl.col("mean_under") > 0).with_columns(
        ratio.alias("ratio")
    )
    least = pl.col("ratio") * LEAST_BAND
    return divided.with_columns(error.alias("se")).with_columns(
        pl.max_horizontal(pl.col("ratio") - pl.col("se").fill_null(0.0), least).alias("low"),
        (pl.col("ratio") + pl.col("se").fill_null(0.0)).alias("high"),
        pl.min_horizontal("examples", "examples_under").alias("examples"),
    )


def spectra_rows(extremes: pl.DataFrame) -> pl.DataFrame:
    """Spectra of extreme examples: one row per rank and value, at geometrically spaced ranks."""
    names = ["model", "end", "place", "index", "style"]
    spectra = extremes.select(*names, "spectra").explode("spectra").unnest("spectra")
    values = spectra.with_columns(
        pl.int_ranges(1, pl.col("singular_values").list.len() + 1).alias("rank")
    ).explode("rank", "singular_values")
    ranks = np.unique(np.rint(np.geomspace(1, 20_000, MOST_RANKS * 3 // 2))).astype(int)
    kept = values.filter(pl.col("rank").is_in(ranks.tolist()), pl.col("singular_values") > 0)
    return kept.rename({"singular_values": "value"})


def compared_as() -> pl.Expr:
    """The label of two responses, for example "none, correct · detailed, correct"."""
    style = [pl.col(c).replace(style_labels()) for c in ("style", "against_style")]
    named = [
        pl.format("{}, {}", side, pl.col(c))
        for side, c in zip(style, ("relevance", "against_relevance"), strict=True)
    ]
    return pl.concat_str(named, separator=" · ")
