"""The page: one self-contained HTML file that needs no network and evaluates no code.

Its data are blocks of base85 without the letters of markup. Vega's libraries are such a block too:
the page's script unpacks them into a script element. The Content-Security-Policy allows only the
two scripts and the style sheet, by their hashes, so a script in the data could not run even if it
were not escaped. Chart expressions are interpreted, not compiled, so ``unsafe-eval`` is not needed.
"""

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files

import polars as pl

from gradpipe.report.model_labels import with_model_labels
from gradpipe.report.page.blocks import MOST_LETTERS, all_blocks, page_tables
from gradpipe.report.page.charts import page_charts, page_sections
from gradpipe.report.page.held_files import held_files
from gradpipe.report.page.index import EXAMPLE_HEADS, example_headings, is_static, page_index
from gradpipe.report.page.pack import deflated
from gradpipe.report.page.text import page_text
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import with_detail
from gradpipe.report.style_sheet import showing
from gradpipe.report.tables.write import all_tables

_GLOBALS = "window.vegaEmbed = vegaEmbed;"
_SCRIPTS = (
    *(
        "store",
        "choice",
        "rows",
        "rows_of_examples",
        "rows_of_blocks",
        "one_example",
        "draw",
        "tables",
        "examples",
        "downloads",
        "state",
        "start",
    ),
)
#: The sections behind those of results: ids, and names in the navigation.
_RECORD = (("run", "What was run"), ("provenance", "Provenance"))


def render_page(inputs: ReportInputs) -> str:
    """Render the page as HTML; the same inputs give the same text."""
    with showing(inputs.styles):
        return _rendered(inputs)


def _rendered(inputs: ReportInputs) -> str:
    results, inputs = inputs, with_model_labels(inputs)
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(packaged_text),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    shown = with_detail(inputs)
    charts, tables = page_charts(inputs), page_tables(all_tables(shown))
    sections = page_sections(charts, tables)
    blocks = list(all_blocks(shown, tables, charts))
    blocks += held_files(results, MOST_LETTERS - sum(len(text) for _, text in blocks))
    index = page_index(shown, tables, charts) | {"blocks": [key for key, _ in blocks]}
    style = "\n".join(filter(None, (packaged_text("page.css"), inputs.styles.dark_rules())))
    script = page_script()
    scripts = [script, vega_bundle()] if charts else [script]
    return environment.get_template("page.html.jinja").render(
        **page_text(inputs),
        charts=charts,
        tables=tables,
        filled={name for name, table in tables.items() if table.frame.height},
        example_headings=list(example_headings(inputs.examples).values()),
        example_heads=EXAMPLE_HEADS,
        sections=sections,
        navigation=[
            ("findings", "Findings"),
            *((one.section.id, one.section.name) for one in sections),
            *_RECORD,
        ],
        item_range=_item_range(inputs),
        is_static=is_static,
        encode_base64=_encode_base64,
        style=Markup(style),
        script=Markup(script),
        vega=Markup(_deflated_vega() if charts else ""),
        index=Markup(deflated(json.dumps(index, allow_nan=False).encode())),
        blocks=[Markup(text) for _, text in blocks],
        policy=_policy(scripts, style),
    )


def page_script() -> str:
    """The page's own script: all of its files in one function, so that nothing is global."""
    parts = [packaged_text(f"{name}.js") for name in _SCRIPTS]
    return "\n".join(['"use strict";', "(() => {", *parts, "})();"])


@lru_cache(maxsize=1)
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    return str(vl_convert.javascript_bundle(_GLOBALS))


@lru_cache(maxsize=1)
def _deflated_vega() -> str:
    return deflated(vega_bundle().encode())


def _item_range(inputs: ReportInputs) -> tuple[int, int] | None:
    """The smallest and the largest number of items of a cell's verdict, None without verdicts."""
    items = inputs.verdicts.filter(pl.col("level") == "cell").get_column("items").drop_nulls()
    return (int(items.min()), int(items.max())) if len(items) else None  # type: ignore[arg-type]


def _encode_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _policy(scripts: list[str], style: str) -> str:
    allowed = " ".join(f"'{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def packaged_text(name: str) -> str:
    """A file of this package: a template, a script or the style sheet."""
    return (files("gradpipe.report.page") / name).read_text(encoding="utf-8").strip()
