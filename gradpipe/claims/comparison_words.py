"""A comparison in plain sentences: which differences are decided, and which way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from gradpipe.claims.bootstrap import LEVEL

_OF = {"mean": "mean over layers", "mad": "MAD"}
#: What may tell curves apart, beside the projection.
_LABELS = ("model", "benchmark", "style", "relevance")
#: Groups of curves that a sentence names before it points at the table.
_NAMED = 6


def summary(comparison: pl.DataFrame, a: str, b: str) -> str:
    """One line: what was compared, and how many of the differences are decided.

    ``comparison`` as ``compare`` gives it; ``a`` and ``b`` are what the two sides are called.
    """
    higher, lower = (comparison.filter(verdict=verdict).height for verdict in ("higher", "lower"))
    return (
        f"A is {a}, B is {b}: of {comparison.height} differences {higher + lower} are decided at "
        f"{1 - LEVEL:.0%} after Holm's correction; A is higher in {higher} and lower in {lower}."
    )


def sentences(comparison: pl.DataFrame) -> Iterator[str]:
    """A sentence on the items, then one a statistic and quantity that says what is decided."""
    yield _items(comparison)
    labels = [name for name in _LABELS if comparison[name].n_unique() > 1]
    groups = comparison.partition_by("statistic", "quantity", maintain_order=True, as_dict=True)
    for (statistic, quantity), rows in groups.items():
        parts = [
            part for verdict in ("higher", "lower") if (part := _decided(rows, verdict, labels))
        ]
        undecided = rows.filter(verdict="undecided").height
        if undecided:
            parts.append(f"{_number(undecided, rows.height)} undecided")
        yield f"{statistic}, {_OF[str(quantity)]}: {'; '.join(parts)}."


def _items(comparison: pl.DataFrame) -> str:
    def among(rows: pl.DataFrame, column: str) -> str:
        numbers = sorted(rows[column])
        return " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))

    said = []
    paired, apart = comparison.filter("paired"), comparison.filter(~pl.col("paired"))
    if paired.height:
        said.append(f"the same {among(paired, 'items_a')} items of both, resampled together")
    if apart.height:
        said.append(
            f"{among(apart, 'items_a')} items of A and {among(apart, 'items_b')} of B, each "
            "resampled by itself"
        )
    return f"Intervals (95 %) are over {'; or '.join(said)}."


def _decided(rows: pl.DataFrame, verdict: str, labels: Sequence[str]) -> str:
    found = rows.filter(verdict=verdict)
    if found.is_empty():
        return ""
    ratios = sorted(found["ratio"])
    ends = dict.fromkeys(f"{ratio:.3g}" for ratio in (ratios[0], ratios[-1]))
    span = f"{' to '.join(ends)} times"
    where = "" if found.height == rows.height else f": {_places(found, labels)}"
    return f"A is {verdict} in {_number(found.height, rows.height)} ({span}{where})"


def _number(part: int, whole: int) -> str:
    return f"all {whole}" if part == whole else f"{part} of {whole}"


def _places(found: pl.DataFrame, labels: Sequence[str]) -> str:
    """The curves by name: what tells them from others (``labels``), and the projections."""
    label = pl.concat_str(pl.lit(""), *labels, separator=" ").alias("label")
    groups = found.group_by(label, maintain_order=True).agg(pl.col("projection").str.join(" "))
    named = [f"{label} {projections}".strip() for label, projections in groups.head(_NAMED).rows()]
    rest = groups.height - len(named)
    return ", ".join(named) + (f" and {rest} more, see the table" if rest else "")
