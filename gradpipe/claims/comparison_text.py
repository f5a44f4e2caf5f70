"""The sentences about a comparison of A with B."""

from collections.abc import Iterator, Sequence

import polars as pl

from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL

_QUANTITY_TEXT = {"mean": "mean over layers", "mad": "MAD"}
#: The columns that may distinguish curves, besides the projection.
_LABELS = ("model", "benchmark", "style", "relevance")
#: How many groups of curves a sentence names; the others are counted.
_NAMED_GROUPS = 6


def comparison_summary(comparison: pl.DataFrame, a: str, b: str) -> str:
    """One sentence: what was compared, and how many of the differences are significant.

    ``comparison`` is the table that ``compare`` returns; ``a`` and ``b`` are the names of its
    sides.
    """
    higher, lower = (comparison.filter(verdict=result).height for result in ("higher", "lower"))
    return (
        f"A is {a}, B is {b}: {higher + lower} of {comparison.height} differences are significant "
        f"at {1 - CONFIDENCE_LEVEL:.0%} after Holm's correction; A is higher in {higher} and lower "
        f"in {lower}."
    )


def most_different(comparison: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The rows whose ratio is farthest from one, significant ones first."""
    undecided = pl.col("verdict") == "undecided"
    return comparison.sort(
        undecided,
        pl.col("ratio").log().abs(),
        descending=[False, True],
        nulls_last=True,
        maintain_order=True,
    ).head(rows)


def comparison_sentences(comparison: pl.DataFrame) -> Iterator[str]:
    """A sentence about the items, then one per statistic and quantity about its differences."""
    yield _items(comparison)
    labels = [name for name in _LABELS if comparison[name].n_unique() > 1]
    groups = comparison.partition_by("statistic", "quantity", maintain_order=True, as_dict=True)
    for (statistic, quantity), rows in groups.items():
        parts = [part for side in ("higher", "lower") if (part := _significant(rows, side, labels))]
        undecided = rows.filter(verdict="undecided").height
        if undecided:
            parts.append(f"{_number(undecided, rows.height)} undecided")
        yield f"{statistic}, {_QUANTITY_TEXT[str(quantity)]}: {'; '.join(parts)}."


def _items(comparison: pl.DataFrame) -> str:
    def span(rows: pl.DataFrame, column: str) -> str:
        numbers = sorted(rows[column])
        return " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))

    parts = []
    paired, separate = comparison.filter("paired"), comparison.filter(~pl.col("paired"))
    if paired.height:
        parts.append(f"the same {span(paired, 'items_a')} items of both, resampled together")
    if separate.height:
        parts.append(
            f"{span(separate, 'items_a')} items of A and {span(separate, 'items_b')} of B, "
            "resampled separately"
        )
    return f"Intervals (95 %) are over {'; or '.join(parts)}."


def _significant(rows: pl.DataFrame, side: str, labels: Sequence[str]) -> str:
    """Where A is "higher" or "lower" than B, and by which ratios; empty if nowhere."""
    matching = rows.filter(verdict=side)
    if matching.is_empty():
        return ""
    ratios = sorted(matching["ratio"])
    ends = dict.fromkeys(f"{ratio:.3g}" for ratio in (ratios[0], ratios[-1]))
    span = f"{' to '.join(ends)} times"
    where = "" if matching.height == rows.height else f": {_curve_names(matching, labels)}"
    return f"A is {side} in {_number(matching.height, rows.height)} ({span}{where})"


def _number(part: int, whole: int) -> str:
    return f"all {whole}" if part == whole else f"{part} of {whole}"


def _curve_names(rows: pl.DataFrame, labels: Sequence[str]) -> str:
    """The curves by the labels that distinguish them, and their projections."""
    label = pl.concat_str(pl.lit(""), *labels, separator=" ").alias("label")
    groups = rows.group_by(label, maintain_order=True).agg(pl.col("projection").str.join(" "))
    named = [
        f"{label} {projections}".strip() for label, projections in groups.head(_NAMED_GROUPS).rows()
    ]
    rest = groups.height - len(named)
    return ", ".join(named) + (f" and {rest} more, see the table" if rest else "")
