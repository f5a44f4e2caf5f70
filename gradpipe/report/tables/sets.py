"""The tables of sets of examples: how diverse they are, and how their mean gradients compare."""

import polars as pl

from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.tables.table import ReportTable, where
from gradpipe.statistics.table import ALL_PROJECTIONS

_SET = ["model", "benchmark", "style", "relevance"]
#: Smaller sets do not limit the size at which the sets of a model are compared.
LEAST_SET_EXAMPLES = 8
_ENDS = ("diversity", "diversity_low", "diversity_high")
_AGREEMENT = ("mean_cosine", "mean_share")


def matched_diversity(diversity: pl.DataFrame) -> pl.DataFrame:
    """The rows of each model's largest size at which all of its sets have an interval.

    Sets of fewer than LEAST_SET_EXAMPLES have no row.
    """
    large = diversity.filter(pl.col("examples") >= LEAST_SET_EXAMPLES).drop_nulls("diversity_low")
    inside = large.filter(pl.col("size") < pl.col("examples").min().over("model"))
    return inside.filter(pl.col("size") == pl.col("size").max().over("model"))


def set_diversity_table(diversity: pl.DataFrame, consensus: pl.DataFrame) -> ReportTable:
    """Diversity at the matched size, by projection, and the agreement of single gradients."""
    matched = matched_diversity(diversity)
    projections = _projections(matched)
    together = [where(end, projection=ALL_PROJECTIONS).alias(f"{end}_all") for end in _ENDS]
    apart = [where("diversity", projection=p).alias(f"diversity_{p}") for p in projections]
    frame = matched.group_by(_SET).agg(
        pl.col("examples").max(), pl.col("size").max(), *together, *apart
    )
    agreement = consensus.filter(projection=ALL_PROJECTIONS).select(*_SET, *_AGREEMENT)
    frame = frame.join(agreement, on=_SET, how="left")
    shown = [*(f"{end}_all" for end in _ENDS), *(f"diversity_{p}" for p in projections)]
    return ReportTable(
        "set_diversity",
        "How many different directions the gradients of a set have: diversity of subsets of equal "
        "size, with 95 % intervals; the mean cosine of two gradients, and the share of a "
        "gradient’s energy along the mean of the set",
        in_reading_order(frame, *_SET).select(*_SET, "examples", "size", *shown, *_AGREEMENT),
        heads=4,
        groups=[
            ("examples", 2),
            ("diversity, all projections", 3),
            *([("by projection", len(projections))] if projections else []),
            ("agreement", 2),
        ],
        labels={
            "examples": "in the set",
            "size": "per subset",
            **dict(zip(shown, ["diversity", "from", "to", *projections], strict=True)),
        },
        sections=2,
    )


def set_cosine_table(cosines: pl.DataFrame) -> ReportTable:
    """Mean gradients of the correct responses of two sets, for all projections together."""
    names = ["model", "benchmark", "style", "against_benchmark", "against_style"]
    frame = cosines.filter(projection=ALL_PROJECTIONS, relevance="correct")
    values = [
        f"{value}{end}" for value in ("cosine", "norm_ratio") for end in ("", "_low", "_high")
    ]
    return ReportTable(
        "set_cosines",
        "Mean gradients of the correct responses of two sets: their cosine, and the norm of the "
        "first divided by that of the second, with 95 % intervals, for all projections together",
        in_reading_order(frame, "model", "kind", *names[1:]).select(*names, *values),
        heads=5,
        groups=[("cosine", 3), ("ratio of norms", 3)],
        labels={
            "against_benchmark": "against",
            **{
                f"{value}{end}": label
                for value, first in (("cosine", "cosine"), ("norm_ratio", "ratio"))
                for end, label in (("", first), ("_low", "from"), ("_high", "to"))
            },
        },
        sections=1,
    )


def _projections(frame: pl.DataFrame) -> list[str]:
    """The projections in order, without the one that stands for all."""
    alone = frame.filter(pl.col("projection") != ALL_PROJECTIONS)
    return in_reading_order(alone.select("projection").unique(), "projection")[
        "projection"
    ].to_list()
