"""Make a page of each notebook in ``examples``, with its outputs and pictures, for the site."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mkdocs_gen_files

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def page_of(name: str, cells: list[dict[str, Any]]) -> Iterator[str]:
    """The cells of a notebook as Markdown; its pictures are written as files beside the page."""
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"{source}\n"
            continue
        yield f"```python\n{source}\n```\n"
        for output in cell["outputs"]:
            content = output.get("data", {"text/plain": output.get("text")})
            if svg := content.get("image/svg+xml"):
                picture = f"{name}-{number}.svg"
                with mkdocs_gen_files.open(f"notebooks/{picture}", "w") as file:
                    file.write("".join(svg))
                yield f"![Chart that the code above draws]({picture})\n"
            else:
                yield f"```text\n{''.join(content['text/plain']).rstrip()}\n```\n"
    yield f"This page is the notebook `examples/{name}.ipynb`."


for path in sorted(EXAMPLES.glob("*.ipynb")):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    with mkdocs_gen_files.open(f"notebooks/{path.stem}.md", "w") as page:
        page.write("\n".join(page_of(path.stem, cells)) + "\n")
