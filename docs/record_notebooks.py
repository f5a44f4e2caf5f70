"""Execute the notebooks in ``examples`` and keep their outputs: `make notebooks`.

Charts are kept as SVG. The notebooks use the demo model and the current workspace, which has to
hold the finished demo.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
#: Executed before a notebook, and not kept: charts become pictures, and tables fit a page.
_SETUP = """
import altair
import polars

altair.renderers.enable("svg")
polars.Config(tbl_width_chars=88, fmt_str_lengths=60)
"""
_PIXELS = re.compile(r' (d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*"')
_FRACTION = re.compile(r"(\d\.\d)\d+")
_SVG, _TEXT = "image/svg+xml", "text/plain"


def record(path: Path) -> None:
    """Execute a notebook and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_SETUP))
    NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False).execute()
    del notebook.cells[0]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [kept for output in cell.outputs if (kept := _kept(output))]
    nbformat.write(notebook, path)


def _kept(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """A printed text, a picture or a table as text; None for a log line."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    kind = _SVG if _SVG in output.data else _TEXT
    content = output.data[kind]
    if kind == _SVG:
        # A tenth of a pixel is as good as a billionth; numbers on an axis are not pixels.
        content = _PIXELS.sub(lambda found: _FRACTION.sub(r"\1", found.group()), content)
        # Points that cannot be seen are there for tooltips, which a picture does not have.
        content = re.sub(r'<path [^>]*( d="M0,0"| opacity="0")[^>]*/>', "", content)
    return nbformat.v4.new_output("display_data", {kind: content})


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or sorted(EXAMPLES.glob("*.ipynb"))):
        record(path)
