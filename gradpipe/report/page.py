"""The page: one HTML file with everything in it, that needs no network and evaluates no code.

Vega's libraries, the page's script and its style are inlined and named by their hashes in a
Content-Security-Policy, so a script that arrives with the data cannot run even if it were not
escaped. Chart expressions are interpreted, not compiled, hence no ``unsafe-eval``.
"""

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from gradpipe.report.inputs import ReportInputs
from gradpipe.report.page_data import page_charts, page_data
from gradpipe.report.page_words import page_words
from gradpipe.report.tables import all_tables

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
        charts=[chart.id for chart in drawn],
        tables=tables,
        style=Markup(style),
        script=Markup(script),
        vega=Markup(vega),
        data=Markup(json_for_html(page_data(inputs, tables, drawn))),
        policy=_policy(scripts=[vega, script], style=style),
    )


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
