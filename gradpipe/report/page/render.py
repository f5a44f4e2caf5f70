"""The page: one HTML file with everything in it, that needs no network and evaluates no code.

Its data are blocks of base64, so nothing of them is markup. Vega's libraries are
such a block too: the page's script unpacks them into a script element. Both scripts and the style
are named by their hashes in a Content-Security-Policy, so a script that arrives with the data could
not run even if it were not escaped. Chart expressions are interpreted, not compiled, hence no
``unsafe-eval``.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import polars as pl

from gradpipe.report.page.blocks import all_blocks, page_tables
from gradpipe.report.page.charts import PageChart, is_static, page_charts, page_choices, page_index
from gradpipe.report.page.pack import deflated
from gradpipe.report.page.text import page_words
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.table import ReportTable
from gradpipe.report.tables.write import all_tables

_GLOBALS = "window.vegaEmbed = vegaEmbed;"
_SCRIPTS = ("store", "choice", "rows", "rows_of_examples", "draw", "tables", "examples", "start")
#: Sections after the findings: what the list of them calls each, and the charts of it.
_SECTIONS = {
    "verdicts": ("Verdicts", ("verdicts",)),
    "curves": ("Curves", ("curves",)),
    "ratio": ("Ratios", ("ratio",)),
    "relevance": ("Correct against irrelevant", ("relevance",)),
    "mad": ("MAD", ("mad", "knowledge")),
    "twins": ("Base and tuned", ("twins",)),
    "knowledge": ("Knowledge", ("knowledge",)),
    "length": ("Length", ("length",)),
    "alignment": ("Alignment", ("alignment", "responses")),
    "examples": ("Examples", ("sizes", "spectra")),
    "run": ("What was run", ()),
    "provenance": ("Provenance", ()),
}


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
    shown = page_tables(tables)
    keys, texts = _blocks(inputs, tables)
    index = {**page_index(inputs, shown, drawn), "blocks": keys}
    style, script = _packaged("page.css"), page_script()
    scripts = [script, vega_bundle()] if drawn else [script]
    return environment.get_template("page.html.jinja").render(
        **page_words(inputs),
        charts=drawn,
        local=page_choices(inputs),
        tables=shown,
        sections=_sections(drawn, shown),
        items=_items(inputs),
        is_static=is_static,
        base64=_base64,
        style=Markup(style),
        script=Markup(script),
        vega=Markup(_deflated_vega() if drawn else ""),
        index=Markup(deflated(json.dumps(index, allow_nan=False).encode())),
        blocks=[Markup(text) for text in texts],
        policy=_policy(scripts, style),
    )


def page_script() -> str:
    """The page's own script: its files in one function, none of them seen from outside."""
    parts = [_packaged(f"{name}.js") for name in _SCRIPTS]
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"])


@lru_cache(maxsize=1)
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    return str(vl_convert.javascript_bundle(_GLOBALS))


@lru_cache(maxsize=1)
def _deflated_vega() -> str:
    return deflated(vega_bundle().encode())


def _sections(
    drawn: Mapping[str, PageChart], tables: Mapping[str, ReportTable]
) -> list[tuple[str, str]]:
    """The sections that the page has, in its order: their ids and how the list of them says it."""
    judged = tables["verdicts_overall"].frame.height > 0
    always = {"run", "provenance", *(["verdicts"] if judged else [])}
    return [
        (section, name)
        for section, (name, charts) in _SECTIONS.items()
        if section in always or (drawn and any(chart in drawn for chart in charts))
    ]


def _items(inputs: ReportInputs) -> tuple[int, int] | None:
    """The fewest and the most items behind a verdict on a cell."""
    items = inputs.verdicts.filter(pl.col("level") == "cell").get_column("items").drop_nulls()
    return (int(items.min()), int(items.max())) if len(items) else None  # type: ignore[arg-type]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _blocks(
    inputs: ReportInputs, tables: dict[str, ReportTable]
) -> tuple[list[tuple[str, ...]], list[str]]:
    blocks = list(all_blocks(inputs, tables))
    return [key for key, _ in blocks], [text for _, text in blocks]


def _policy(scripts: list[str], style: str) -> str:
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _packaged(name: str) -> str:
    return (files("gradpipe.report.page") / name).read_text(encoding="utf-8").strip()
