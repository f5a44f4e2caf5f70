"""The page: one HTML file with everything in it, that needs no network and evaluates no code.

Vega's libraries, the page's script and its style are inlined and named by their hashes in a
Content-Security-Policy, so a script that arrives with the data cannot run even if it were not
escaped. Chart expressions are interpreted, not compiled, hence no ``unsafe-eval``.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import polars as pl

from gradpipe.report import charts, look
from gradpipe.report.findings import findings, length_note
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.shape import IS_KNOWLEDGE, LEAST_BAND, curve_series, distinct, mad_series
from gradpipe.report.tables import Table, all_tables

#: The page lists at most this many unusable rows; the CSV beside it has all of them.
MOST_UNUSABLE_SHOWN = 500

Draw = Callable[[list[str], None, bool], Any]

_GLOBALS = "window.vegaEmbed = vegaEmbed;"


def render_page(inputs: ReportInputs) -> str:
    """The whole page as HTML text; the same inputs give the same text."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_packaged),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    tables, drawn = all_tables(inputs), page_charts(inputs)
    style, script, vega = _packaged("page.css"), _packaged("page.js"), vega_bundle()
    return environment.get_template("page.html.jinja").render(
        **page_words(inputs),
        charts=[chart["id"] for chart in drawn],
        tables=tables,
        style=Markup(style),
        script=Markup(script),
        vega=Markup(vega),
        data=Markup(json_for_html(page_data(inputs, tables, drawn))),
        policy=_policy(scripts=[vega, script], style=style),
    )


def page_words(inputs: ReportInputs) -> dict[str, Any]:
    """What the template says in words: names, findings, totals, choices and provenance."""
    provenance = inputs.provenance
    models = distinct(inputs.curves, "model") or distinct(inputs.rows, "model")
    benchmarks = distinct(inputs.curves, "benchmark") or distinct(inputs.rows, "benchmark")
    statistics = distinct(inputs.curves, "statistic")
    default = look.DEFAULT_STATISTIC
    totals = {
        name: int(inputs.rows.get_column(name).sum() or 0)
        for name in ("examples", "unusable", "truncated")
    }
    statistic = default if default in statistics or not statistics else statistics[0]
    return {
        "title": str(provenance.get("study", {}).get("name") or "study"),
        "models": models,
        "benchmarks": benchmarks,
        "model_choices": [(name, name) for name in models],
        "benchmark_choices": [(name, name) for name in benchmarks],
        "statistics": [(name, look.statistic_label(name)) for name in statistics],
        "segments": [(name, look.SEGMENT_LABELS.get(name, name)) for name in look.SEGMENTS],
        "statistic": statistic,
        "statistic_shown": look.statistic_label(statistic),
        "styles": [
            (style, look.style_label(style), look.style_colour(style))
            for style in distinct(inputs.curves, "style")
        ],
        "findings": findings(inputs),
        "length_note": length_note(inputs.rows),
        "totals": {**totals, "unusable": max(totals["unusable"], inputs.unusable.height)},
        "unusable_listed": inputs.unusable.height,
        "most_unusable": MOST_UNUSABLE_SHOWN,
        "provenance": {
            "created": str(provenance.get("created") or "not recorded"),
            "hardware": str(provenance.get("hardware") or "not recorded"),
            "study_yaml": str(provenance.get("study_yaml") or ""),
            "listings": [
                _listing("Models", provenance.get("models", [])),
                _listing("Benchmarks", provenance.get("benchmarks", [])),
                _listing("Protocol", _entries(provenance.get("protocol", {}), "setting", "value")),
                _listing(
                    "Packages", _entries(provenance.get("versions", {}), "package", "version")
                ),
            ],
        },
        "number": look.number,
    }


def page_data(
    inputs: ReportInputs, tables: dict[str, Table], drawn: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the page's script draws from: every curve once, and tables by statistic as text."""
    return {
        "curves": curve_series(inputs.curves),
        "mad": mad_series(inputs.mad),
        "charts": drawn,
        "tables": {
            name: {
                "heads": table.heads,
                "rows": {statistic: table.cells(statistic) for statistic in table.statistics},
            }
            for name, table in tables.items()
            if "statistic" in table.frame.columns
        },
        "labels": {
            "style": look.STYLE_LABELS,
            "statistic": look.STATISTIC_LABELS,
            "segment": look.SEGMENT_LABELS,
        },
        "leastBand": LEAST_BAND,
    }


def page_charts(inputs: ReportInputs) -> list[dict[str, Any]]:
    """The page's charts: specification on each scale, and which rows each draws.

    ``pick`` names the pickers a chart follows, ``where`` what it draws besides; ``margin`` is the
    width in pixels that axes take, a panel and once.
    """
    styles = distinct(inputs.curves, "style")
    mad = inputs.mad.filter(pl.col("mad").is_finite())
    reasoning = distinct(mad.filter(~IS_KNOWLEDGE), "style")
    knowledge = mad.filter(IS_KNOWLEDGE)
    lengths, topics = distinct(knowledge, "style"), distinct(knowledge, "benchmark")
    of_curve = ["model", "benchmark", "statistic"]
    of_mad = ["model", "statistic", "segment"]
    lines, dots = [38, 12], [0, 136]
    drawn: Draw
    where: dict[str, list[str]]
    found = []
    if not inputs.curves.is_empty():
        drawn, where = charts.statistic_through_the_layers, {"relevance": ["correct"]}
        found.append(_chart("curves", drawn, styles, of_curve, where, lines, start="linear"))
    if "irrelevant" in distinct(inputs.curves, "relevance"):
        drawn = charts.correct_against_irrelevant
        found.append(_chart("relevance", drawn, styles, of_curve, {}, lines))
    if reasoning:
        drawn, where = charts.mad_by_style, {"style": reasoning}
        found.append(_chart("mad", drawn, reasoning, of_mad, where, dots))
    if topics:
        drawn, where = charts.knowledge_by_length, {"style": lengths}
        found.append(_chart("knowledge", drawn, topics, of_mad, where, lines, start="linear"))
    return found


def _chart(
    name: str,
    draw: Draw,
    domain: list[str],
    pick: list[str],
    where: dict[str, list[str]],
    margin: list[int],
    start: str = "log",
) -> dict[str, Any]:
    return {
        "id": name,
        "data": "curves" if "benchmark" in pick else "mad",
        "pick": pick,
        "where": where,
        "margin": margin,
        "start": start,
        "linear": charts.specification(draw(domain, None, False)),
        "log": charts.specification(draw(domain, None, True)),
    }


@lru_cache(maxsize=1)
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, fit to stand inside a script element."""
    import vl_convert

    bundle = vl_convert.javascript_bundle(_GLOBALS)
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--").replace("\r", "\\r")


def json_for_html(value: Any) -> str:
    """JSON that no HTML parser can leave: angle brackets and ampersands are written as escapes."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: list[str], style: str) -> str:
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _packaged(name: str) -> str:
    return (files("gradpipe.report") / name).read_text(encoding="utf-8").strip()


def _entries(values: dict[str, Any], key: str, value: str) -> list[dict[str, Any]]:
    return [{key: name, value: entry} for name, entry in values.items()]


def _listing(caption: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Dicts as a table of text: a column a key, in the order the keys first occur."""
    columns = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [[_text(entry.get(column)) for column in columns] for entry in entries]
    return {"caption": caption, "columns": columns, "rows": rows}


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
