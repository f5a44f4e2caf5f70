"""The page's numbers and texts in blocks, each unpacked by the browser when it is first needed.

The page must stay below 5 MB for the paper's whole grid. Numbers are therefore only as precise as a
screen shows them, and examples and their texts are limited; the files beside the page have all.
"""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from gradpipe.report.cell_results import EXAMPLE_LABELS
from gradpipe.report.chart_data import finite, in_reading_order, spectra_rows, with_errors
from gradpipe.report.charts.kinds.auroc_by_layer import heatmap_statistics
from gradpipe.report.origins import origin_facts
from gradpipe.report.page.charts import PageChart
from gradpipe.report.page.detail_blocks import MOST_DETAIL_LETTERS, detail_blocks, kept_details
from gradpipe.report.page.index import SHOWN_EXAMPLE_COLUMNS, is_static, with_sample
from gradpipe.report.page.pack import COARSE, FINE, deflated, packed
from gradpipe.report.page.table_values import column_values
from gradpipe.report.page.text import MOST_UNUSABLE_SHOWN
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import ReportTable

_CELL = ("model", "benchmark")
#: A key, which names the kind of the block and its part of the results; and the packed text.
Block = tuple[tuple[str, ...], str]

#: Letters of all blocks of a page, so that it stays below 5 MB; about 350,000 are Vega's.
MOST_LETTERS = 4_350_000
#: The step of standard errors, as a share of them; of many curves, and of fewer.
_COARSE_ERROR, _FINE_ERROR = 1 / 4, 1 / 8
#: Curves with more rows than this are packed in coarser steps.
MANY = 200_000
#: A model × benchmark with more examples than EXAMPLES_PER_CELL shows only the ENDS largest and the
#: ENDS smallest; a page shows at most MOST_EXAMPLES.
EXAMPLES_PER_CELL, ENDS, MOST_EXAMPLES = 2000, 100, 40_000
#: Limits for the extreme examples of a page and for the characters of their texts.
MOST_EXTREMES, _MOST_CHARACTERS = 600, 600_000
#: AUROCs by layer are multiples of this many hundredths.
AUROC_STEP = 2
#: Tables that have no block: the script fills one from the chart's block, the other is a file only.
_WITHOUT_BLOCK = ("examples", "verdicts")


def all_blocks(
    inputs: ReportInputs, tables: dict[str, ReportTable], charts: dict[str, PageChart]
) -> Iterator[Block]:
    """Every block of the page, whose ``tables`` are those of ``page_tables``.

    Details of examples take half of the room that the others leave, so that files have some too.
    """
    others = list(_blocks_of_results(inputs, tables, charts))
    yield from others
    plain = list(
        _examples(inputs.examples, shown_examples(inputs.examples, inputs.details.clear()))
    )
    room = MOST_LETTERS - sum(len(text) for _, text in [*others, *plain])
    details = kept_details(inputs.details, min(MOST_DETAIL_LETTERS, room // 2))
    shown = shown_examples(inputs.examples, details)
    yield from _examples(inputs.examples, shown) if details.height else plain
    yield from detail_blocks(shown, details)


def _blocks_of_results(
    inputs: ReportInputs, tables: dict[str, ReportTable], charts: dict[str, PageChart]
) -> Iterator[Block]:
    """All blocks but those of single examples and their details."""
    yield from _curves(inputs.curves)
    yield from _verdicts(inputs.verdicts)
    yield from _lengths(inputs.length)
    yield from _aurocs(inputs.discrimination)
    yield from _alignment(inputs.alignment)
    yield from _extremes(inputs.extremes)
    yield from _origins(inputs.extremes, inputs.origins)
    for chart in charts.values():
        yield from _rows_of(chart)
    for table in tables.values():
        if not is_static(table):
            for statistic in table.statistics or (None,):
                most = MOST_UNUSABLE_SHOWN if table.name == "unusable" else None
                columns = column_values(table, statistic, most)
                text = json.dumps(columns, separators=(",", ":"), allow_nan=False)
                yield ("table", table.name, statistic or ""), deflated(text.encode())


def page_tables(tables: dict[str, ReportTable]) -> dict[str, ReportTable]:
    """The tables of the page that have their own rows."""
    return {name: table for name, table in tables.items() if name not in _WITHOUT_BLOCK}


def kept_examples(examples: pl.DataFrame) -> pl.DataFrame:
    """All examples or, if there are many, the largest and smallest of each model × benchmark."""
    cell = ["model", "benchmark"]
    cells = max(examples.select(cell).n_unique(), 1)
    room = min(EXAMPLES_PER_CELL, MOST_EXAMPLES // cells)
    ends = min(ENDS, max(room // 2, 1))
    size = finite("nuclear_norm")
    rank = size.rank("ordinal").over(cell)
    most = pl.len().over(cell)
    ranked = examples.with_columns(rank.alias("rank"), most.alias("most"))
    at_ends = (pl.col("rank") <= ends) | (pl.col("rank") > pl.col("most") - ends)
    return ranked.filter((pl.col("most") <= room) | at_ends).drop("rank", "most")


def shown_examples(examples: pl.DataFrame, details: pl.DataFrame) -> pl.DataFrame:
    """`kept_examples` and those with details, in the order of the page."""
    keys = [*_CELL, *EXAMPLE_LABELS]
    both = pl.concat([kept_examples(examples).select(keys), details.select(keys)])
    kept = examples.join(both, on=keys, how="semi", maintain_order="left")
    return in_reading_order(kept, "model", "benchmark", "style", "relevance")


def kept_extremes(extremes: pl.DataFrame) -> pl.DataFrame:
    """The most extreme examples, as many as a page has room for, with shortened texts."""
    share = MOST_EXTREMES / max(extremes.height, 1)
    deepest = extremes.select(pl.col("place").max().fill_null(1)).item()
    places = max(1, int(deepest * min(share, 1.0)))
    kept = extremes.filter(pl.col("place") <= places)
    characters = max(200, min(8000, _MOST_CHARACTERS // (2 * max(kept.height, 1))))
    cut = [
        pl.when(pl.col(c).str.len_chars() > characters)
        .then(pl.col(c).str.head(characters) + " …")
        .otherwise(pl.col(c))
        .alias(c)
        for c in ("instruction", "response")
    ]
    return kept.with_columns(cut)


def _curves(curves: pl.DataFrame) -> Iterator[Block]:
    step, error_step = (COARSE, _COARSE_ERROR) if curves.height > MANY else (FINE, _FINE_ERROR)
    share = pl.col("se") / pl.col("mean").abs()
    rows = with_errors(curves).with_columns(
        pl.when(share.is_finite()).then(share).alias("error"), pl.col("layer", "examples").cast(int)
    )
    order = ["model", "statistic", "benchmark", "projection", "style", "relevance"]
    rows = in_reading_order(rows.sort("layer"), *order)
    shown = ["benchmark", "projection", "style", "relevance", "layer", "examples", "mean", "error"]
    for keys, part in _parts(rows, ["model", "statistic"]):
        text = packed(part.select(shown), {"mean": step, "error": error_step})
        yield ("curves", *keys), text


def _verdicts(verdicts: pl.DataFrame) -> Iterator[Block]:
    numbers = ["effect", "low", "high", "p_adjusted"]
    names = ["claim", "benchmark", "projection", "verdict", "reason", "items", "against_model"]
    rows = verdicts.filter(pl.col("level") == "cell").with_columns(finite(c) for c in numbers)
    for keys, part in _parts(in_reading_order(rows, "benchmark", "projection"), ["model"]):
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


def _aurocs(discrimination: pl.DataFrame) -> Iterator[Block]:
    """AUROCs in hundredths of each layer, and of the loss, which has neither layer nor projection.

    They are rounded to AUROC_STEP hundredths, since a color shows no more.
    """
    drawn = pl.col("statistic").is_in(heatmap_statistics(discrimination))
    by_layer = drawn & pl.col("layer").is_not_null()
    step = pl.when(pl.col("statistic") == "loss").then(1).otherwise(AUROC_STEP)
    rows = discrimination.filter(by_layer | (pl.col("statistic") == "loss")).with_columns(
        ((pl.col("auroc") * 100 / step).round().cast(pl.Int64) * step).alias("percent")
    )
    shown = ["benchmark", "style", "first", "second", "projection", "layer", "percent"]
    order = ["model", "statistic", "benchmark", "style", "first", "projection"]
    for keys, part in _parts(in_reading_order(rows.sort("layer"), *order), ["model", "statistic"]):
        yield ("aurocs", *keys), packed(part.select(shown))


def _alignment(alignment: pl.DataFrame) -> Iterator[Block]:
    names = ["style", "relevance", "against_style", "against_relevance"]
    rows = with_errors(alignment).with_columns(pl.col("layer", "examples").cast(int))
    rows = rows.sort("model", "benchmark", "kind", "pair", *names, "layer")
    shown = ["benchmark", "pair", *names, "layer", "examples", "mean", "se"]
    for keys, part in _parts(rows, ["model", "kind"]):
        steps = {"mean": COARSE, "se": _FINE_ERROR}
        yield ("alignment", *keys), packed(part.select(shown), steps)


def _examples(examples: pl.DataFrame, kept: pl.DataFrame) -> Iterator[Block]:
    numbers = ["loss", "nuclear_norm", "effective_rank", "sigma1_ratio"]
    rows = with_sample(kept).with_columns(finite(c) for c in numbers)
    shown = list(SHOWN_EXAMPLE_COLUMNS)
    for keys, part in _parts(rows, ["model", "benchmark"]):
        total = examples.filter(*(pl.col(k) == v for k, v in zip(_CELL, keys, strict=True))).height
        text = packed(
            part.select(*shown, pl.lit(total).alias("total")), dict.fromkeys(numbers, COARSE)
        )
        yield ("examples", *keys), text


def _extremes(extremes: pl.DataFrame) -> Iterator[Block]:
    """One block per benchmark holds all models, since they mostly share the texts."""
    names = ["model", "end", "place"]
    rows = in_reading_order(with_sample(kept_extremes(extremes)), "benchmark", *names)
    example = ["index", "style", "relevance", "sample"]
    shown = [*names, *example, "response_tokens", "loss", "nuclear_norm"]
    for keys, part in _parts(rows, ["benchmark"]):
        yield ("extremes", *keys), packed(part.select(*shown, "instruction", "response"))
        yield ("spectra", *keys), packed(spectra_rows(part), {"value": COARSE})


def _origins(extremes: pl.DataFrame, origins: pl.DataFrame) -> Iterator[Block]:
    """What the page says of where a shown response comes from, as JSON; blocks as of extremes."""
    places = ["model", "benchmark", "end", "place"]
    shown = origins.join(kept_extremes(extremes), on=places, how="semi")
    facts = [json.dumps(origin_facts(row), ensure_ascii=False) for row in shown.to_dicts()]
    rows = shown.select(places).with_columns(pl.Series("facts", facts, dtype=pl.String))
    for keys, part in _parts(in_reading_order(rows, "benchmark", "model", "end"), ["benchmark"]):
        yield ("origins", *keys), packed(part.select("model", "end", "place", "facts"))


def _rows_of(chart: PageChart) -> Iterator[Block]:
    """The rows that a chart draws as they are."""
    rows = chart.figure.rows
    if rows is None or chart.rows is None:
        return
    parts = _parts(chart.rows, list(rows.block)) if rows.block else iter([((), chart.rows)])
    for keys, part in parts:
        yield (chart.id, *keys), packed(part.drop(rows.block), dict(rows.precision))


def _parts(rows: pl.DataFrame, keys: list[str]) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    """The rows of each combination of keys; rows with a missing key are skipped."""
    rows = rows.drop_nulls(keys)
    return iter(rows.group_by(keys, maintain_order=True)) if rows.height else iter(())
