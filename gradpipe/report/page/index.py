"""The index of the page's data: what its script reads before it unpacks a block."""

from typing import Any

import polars as pl

from gradpipe.benchmarks.samples import sample_number
from gradpipe.report import style
from gradpipe.report.chart_data import LEAST_BAND, distinct, ratio_pairs
from gradpipe.report.charts.kinds.auroc_by_layer import heatmap_statistics
from gradpipe.report.charts.kinds.base_and_tuned import shown_twins
from gradpipe.report.charts.kinds.single_example import LINES
from gradpipe.report.page.charts import PageChart
from gradpipe.report.page.table_values import column_kinds
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import LEAST_P, ReportTable
from gradpipe.report.tables.verdicts import CONTROL_LABELS
from gradpipe.statistics.differences import SEGMENTS
from gradpipe.statistics.examples import SCORES
from gradpipe.styles import KNOWLEDGE_STYLES

#: The pickers that filter a table, by the table's columns of the same names.
_PICKED_COLUMNS = {
    "verdicts_by_projection": ("model", "statement"),
    "mad": ("model",),
    "mad_scale_free": ("model",),
    "mad_segments": ("model",),
    "rd": ("model",),
    "base_and_tuned": ("base", "tuned"),
    "length": ("model", "benchmark"),
    "alignment": ("model", "benchmark"),
    "spans": ("model", "benchmark"),
    "span_contrasts": ("model", "benchmark"),
    "step_trends": ("model", "benchmark"),
    "discrimination": ("model", "benchmark"),
    "set_diversity": ("model", "benchmark"),
    "set_cosines": ("model", "benchmark"),
    "decomposition": ("model", "benchmark"),
    "added_discrimination": ("model", "benchmark"),
}
#: A table that no picker changes is part of the HTML if it has at most this many rows.
MOST_STATIC_ROWS = 60
#: The columns of the table of examples that the page shows, with their headings. Its rows come from
#: the block of the chart of examples. Samples share the index of their item, so that an example is
#: identified by index, style, relevance and sample.
SHOWN_EXAMPLE_COLUMNS = {
    "index": "item",
    "style": "style",
    "relevance": "relevance",
    "sample": "sample",
    "response_tokens": "response tokens",
    "tokens": "tokens",
    "loss": "loss",
    "nuclear_norm": "nuclear norm",
    "effective_rank": "effective rank",
    "sigma1_ratio": "σ₁ ratio",
}
EXAMPLE_HEADS = 3


def page_index(
    inputs: ReportInputs, tables: dict[str, ReportTable], charts: dict[str, PageChart]
) -> dict[str, Any]:
    """Charts, tables, choices, labels and orders, as JSON for the page's script."""
    styles = distinct(inputs.curves, "style")
    of_examples = example_headings(inputs.examples)
    return {
        "charts": [chart.for_page() for chart in charts.values()],
        "tables": {
            **{name: _description(table) for name, table in tables.items() if not is_static(table)},
            "examples": {
                "heads": EXAMPLE_HEADS,
                "columns": list(of_examples),
                "kinds": column_kinds(with_sample(inputs.examples).select(*of_examples)),
            },
        },
        "mads": _mad_columns(tables),
        "largestLayers": _positions(tables["rd"], "largest_layers_"),
        "claims": inputs.claims.select("claim", "group", "statement").to_dicts(),
        "pickers": [name for chart in charts.values() for name in chart.pickers],
        "twins": shown_twins(inputs).select("base", "tuned").to_dicts(),
        "ratios": ratio_pairs(styles),
        "exampleLines": LINES,
        "exampleStatistics": SCORES,
        "heatmaps": heatmap_statistics(inputs.discrimination),
        "labels": {
            "style": {**style.style_labels(), **{s: style.style_label(s) for s in styles}},
            "statistic": style.STATISTIC_LABELS,
            "measured": {name: style.statistic_with_unit(name) for name in style.STATISTIC_LABELS},
            "segment": style.SEGMENT_LABELS,
            "control": CONTROL_LABELS,
            "panel": style.PANEL_TITLES,
        },
        "orders": {name: list(order) for name, order in style.orders().items()},
        "knowledgeStyles": KNOWLEDGE_STYLES,
        "leastBand": LEAST_BAND,
        "leastP": LEAST_P,
    }


def with_sample(examples: pl.DataFrame) -> pl.DataFrame:
    """Examples with the number of each one's ``sample`` of its item, 0 for the item itself."""
    return examples.with_columns(sample_number())


def example_headings(examples: pl.DataFrame) -> dict[str, str]:
    """SHOWN_EXAMPLE_COLUMNS, without the samples if no item has several."""
    has_samples = with_sample(examples).select((pl.col("sample") > 0).any()).item()
    return {
        name: heading
        for name, heading in SHOWN_EXAMPLE_COLUMNS.items()
        if name != "sample" or has_samples
    }


def is_static(table: ReportTable) -> bool:
    """Whether a table is part of the HTML, so that it is shown without the script too."""
    is_picked = table.statistics or table.name in _PICKED_COLUMNS
    return not is_picked and table.frame.height <= MOST_STATIC_ROWS


def _description(table: ReportTable) -> dict[str, Any]:
    columns = table.columns
    return {
        "heads": table.heads,
        "columns": columns,
        "kinds": column_kinds(table.frame.select(columns)),
        "statistics": table.statistics,
        "picked": {name: columns.index(name) for name in _PICKED_COLUMNS.get(table.name, ())},
    }


def _mad_columns(tables: dict[str, ReportTable]) -> dict[str, dict[str, Any]]:
    """For each segment of layers, the table of its MADs and the columns of the projections."""
    names = {segment: "mad" if segment == "all" else "mad_segments" for segment in SEGMENTS}
    return {
        segment: {
            "table": name,
            "positions": _positions(tables[name], "" if segment == "all" else f"{segment}_"),
        }
        for segment, name in names.items()
    }


def _positions(table: ReportTable, prefix: str) -> dict[str, int]:
    """The positions of a table's columns ``prefix`` + projection, by projection."""
    return {
        name.removeprefix(prefix): position
        for position, name in enumerate(table.columns)
        if position >= table.heads and name.startswith(prefix)
    }
