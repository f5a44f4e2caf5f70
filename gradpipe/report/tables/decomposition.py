"""The table of decompositions: why one style's gradient is larger than another's."""

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.tables.table import ReportTable, projections_of, where
from gradpipe.statistics.decomposition import DECOMPOSITION_SCHEMA

_PAIR = ["model", "benchmark", "style", "against"]
#: The factors that are shown, and their headings.
_SHOWN = {"norm": "ratio of ‖G‖", "size": "= size of tokens", "alignment": "× alignment"}


def decomposition_table(decomposition: pl.DataFrame) -> ReportTable:
    """The ratio of two styles' norms and its two factors, as means over layers, by projection."""
    whole = decomposition.filter(pl.col("layer").is_null())
    projections = projections_of(whole)
    columns = {f"{factor}_{p}": (factor, p) for factor in _SHOWN for p in projections}
    values = [where(factor, projection=p).alias(name) for name, (factor, p) in columns.items()]
    frame = whole.group_by(_PAIR).agg(pl.col("items").max(), *values)
    return ReportTable(
        "decomposition",
        "Why the norms of two styles differ: their ratio is the ratio of the sizes of the tokens’ "
        "gradients times the ratio of how far these add up; means over layers, by projection",
        in_reading_order(frame, *_PAIR).select(*_PAIR, "items", *columns),
        heads=len(_PAIR) + 1,
        groups=[(heading, len(projections)) for heading in _SHOWN.values()],
        labels={name: p for name, (_, p) in columns.items()},
        sections=2,
    )


def decomposition_in_full(decomposition: pl.DataFrame) -> pl.DataFrame:
    """Every factor with its interval, as means over layers and at each layer."""
    ordered = decomposition.select(list(DECOMPOSITION_SCHEMA)).sort("layer", nulls_last=False)
    return in_reading_order(ordered, *_PAIR, "projection")
