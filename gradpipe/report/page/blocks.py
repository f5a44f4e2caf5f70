"""The page's numbers and texts in blocks, each unpacked by the browser when it is asked for.

A page must stay small for the paper's whole grid, so numbers are as exact as a screen shows them,
and of examples and texts there are as many as fit; the files beside the page have all of them.
"""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from gradpipe.report.chart_data import finite, in_reading_order, spectra_rows, with_errors
from gradpipe.report.page.charts import is_static
from gradpipe.report.page.pack import COARSE, FINE, deflated, packed
from gradpipe.report.page.text import MOST_UNUSABLE_SHOWN
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import ReportTable

_CELL = ("model", "benchmark")
Block = tuple[tuple[str, ...], str]

#: A standard error's steps, as a share of it.
_ERROR_STEP = 1 / 8
#: More numbers than this are told in coarser steps.
MANY = 200_000
#: A model × benchmark with more examples has its largest and smallest only, `ENDS` of each; a page
#: has no more than `MOST_EXAMPLES` in all.
EXAMPLES_OF_ONE, ENDS, MOST_EXAMPLES = 2000, 100, 40_000
#: Extreme examples in a page, and characters of all their texts.
MOST_EXTREMES, _MOST_LETTERS = 600, 600_000
#: Tables that the page draws from other blocks, or leaves to their files.
_NOT_ON_PAGE = ("examples", "verdicts")


def all_blocks(inputs: ReportInputs, tables: dict[str, ReportTable]) -> Iterator[Block]:
    """Every block: what it holds (a kind and its keys) and its text."""
    yield from _curves(inputs.curves)
    yield from _verdicts(inputs.verdicts)
    yield from _lengths(inputs.length)
    yield from _alignment(inputs.alignment)
    yield from _examples(inputs.examples)
    yield from _extremes(inputs.extremes)
    for table in page_tables(tables).values():
        if not is_static(table):
            for statistic in table.statistics or (None,):
                most = MOST_UNUSABLE_SHOWN if table.name == "unusable" else None
                cells = table.cells(statistic, most)
                columns = list(zip(*cells, strict=True))
                text = json.dumps(columns, separators=(",", ":"))
                yield ("table", table.name, statistic or ""), deflated(text.encode())


def page_tables(tables: dict[str, ReportTable]) -> dict[str, ReportTable]:
    """The tables that the page shows as tables."""
    return {name: table for name, table in tables.items() if name not in _NOT_ON_PAGE}


def kept_examples(examples: pl.DataFrame) -> pl.DataFrame:
    """The examples that a page has room for: all, or each model × benchmark's ends by size."""
    cell = ["model", "benchmark"]
    cells = max(examples.select(cell).n_unique(), 1)
    room = min(EXAMPLES_OF_ONE, MOST_EXAMPLES // cells)
    ends = min(ENDS, max(room // 2, 1))
    size = finite("nuclear_norm")
    rank = size.rank("ordinal").over(cell)
    most = pl.len().over(cell)
    ranked = examples.with_columns(rank.alias("rank"), most.alias("most"))
    at_ends = (pl.col("rank") <= ends) | (pl.col("rank") > pl.col("most") - ends)
    return ranked.filter((pl.col("most") <= room) | at_ends).drop("rank", "most")


def kept_extremes(extremes: pl.DataFrame) -> pl.DataFrame:
    """The extreme examples that a page has room for, their texts cut to what fits."""
    share = MOST_EXTREMES / max(extremes.height, 1)
    deepest = extremes.select(pl.col("place").max().fill_null(1)).item()
    places = max(1, int(deepest * min(share, 1.0)))
    kept = extremes.filter(pl.col("place") <= places)
    characters = max(200, min(8000, _MOST_LETTERS // (2 * max(kept.height, 1))))
    cut = [
        pl.when(pl.col(c).str.len_chars() > characters)
        .then(pl.col(c).str.head(characters) + " …")
        .otherwise(pl.col(c))
        .alias(c)
        for c in ("instruction", "response")
    ]
    return kept.with_columns(cut)


def _curves(curves: pl.DataFrame) -> Iterator[Block]:
    step = COARSE if curves.height > MANY else FINE
    share = pl.col("se") / pl.col("mean").abs()
    rows = with_errors(curves).with_columns(
        pl.when(share.is_finite()).then(share).alias("error"), pl.col("layer", "examples").cast(int)
    )
    order = ["model", "statistic", "benchmark", "projection", "style", "relevance"]
    rows = in_reading_order(rows.sort("layer"), *order)
    shown = ["benchmark", "projection", "style", "relevance", "layer", "examples", "mean", "error"]
    for keys, part in _parts(rows, ["model", "statistic"]):
        text = packed(part.select(shown), {"mean": step, "error": _ERROR_STEP})
        yield ("curves", *keys), text


def _verdicts(verdicts: pl.DataFrame) -> Iterator[Block]:
    numbers = ["effect", "low", "high", "p_adjusted"]
    names = ["claim", "benchmark", "projection", "verdict", "reason", "items", "against_model"]
    rows = verdicts.filter(pl.col("level") == "cell").with_columns(finite(c) for c in numbers)
    for keys, part in _parts(rows, ["model"]):
        yield ("verdicts", *keys), packed(part.select(*names, *numbers))


def _lengths(length: pl.DataFrame) -> Iterator[Block]:
    numbers = ["effect", "low", "high"]
    names = ["projection", "style", "against", "quantity", "control", "how", "items"]
    rows = length.with_columns(finite(c) for c in numbers)
    for keys, part in _parts(rows, ["model", "benchmark"]):
        yield (
            ("length", *keys),
            packed(part.select(*names, *numbers), dict.fromkeys(numbers, COARSE)),
        )


def _alignment(alignment: pl.DataFrame) -> Iterator[Block]:
    names = ["style", "relevance", "against_style", "against_relevance"]
    rows = with_errors(alignment).with_columns(pl.col("layer", "examples").cast(int))
    rows = rows.sort("model", "benchmark", "kind", "pair", *names, "layer")
    shown = ["benchmark", "pair", *names, "layer", "examples", "mean", "se"]
    for keys, part in _parts(rows, ["model", "kind"]):
        steps = {"mean": COARSE, "se": _ERROR_STEP}
        yield ("alignment", *keys), packed(part.select(shown), steps)


def _examples(examples: pl.DataFrame) -> Iterator[Block]:
    numbers = ["loss", "nuclear_norm", "effective_rank", "sigma1_ratio"]
    rows = in_reading_order(kept_examples(examples), "model", "benchmark", "style", "relevance")
    rows = rows.with_columns(finite(c) for c in numbers)
    shown = ["index", "style", "relevance", "tokens", "response_tokens", *numbers]
    for keys, part in _parts(rows, ["model", "benchmark"]):
        total = examples.filter(*(pl.col(k) == v for k, v in zip(_CELL, keys, strict=True))).height
        text = packed(
            part.select(*shown, pl.lit(total).alias("total")), dict.fromkeys(numbers, COARSE)
        )
        yield ("examples", *keys), text


def _extremes(extremes: pl.DataFrame) -> Iterator[Block]:
    """A benchmark's block has all models: they mostly share the texts."""
    names = ["model", "end", "place"]
    rows = in_reading_order(kept_extremes(extremes), "benchmark", *names)
    told = ["index", "style", "relevance", "response_tokens", "loss", "nuclear_norm"]
    for keys, part in _parts(rows, ["benchmark"]):
        yield ("extremes", *keys), packed(part.select(*names, *told, "instruction", "response"))
        yield ("spectra", *keys), packed(spectra_rows(part), {"value": COARSE})


def _parts(rows: pl.DataFrame, keys: list[str]) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    """The rows of each combination of keys; those with a key missing are left out."""
    rows = rows.drop_nulls(keys)
    return iter(rows.group_by(keys, maintain_order=True)) if rows.height else iter(())
