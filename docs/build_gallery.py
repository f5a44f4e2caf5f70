"""Builds the reports of the gallery into the site; `make docs` runs it after MkDocs.

    python -m docs.build_gallery site

No model is loaded. The demo's report is copied if the workspace has it. Otherwise it has made-up
results, as the larger one has, and its title says so.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gradpipe.report.build import build_report
from gradpipe.report.report_data import ReportInputs
from tests.report.made_up_grid import BENCHMARKS, LAYERS, paper_grid
from tests.report.made_up_study import made_up_study

NOTE = (
    "These results are made up by a program, with a fixed seed. They show what a report looks like "
    "and say nothing about any model or data set."
)
#: The statistics and the number of benchmarks of the larger report.
_STATISTICS = ("nuclear_norm", "sigma1_ratio", "effective_rank", "stable_rank")
_SMALLER = 7


def small_study() -> ReportInputs:
    """A base model and its tuned one on the four benchmarks of the demo."""
    return made_up(made_up_study(models=("demo", "demo-base"), examples=24), "a small study")


def large_study() -> ReportInputs:
    """Every model of the paper on some of its benchmarks."""
    names = [*list(BENCHMARKS)[: _SMALLER - 2], "wiki_popular", "wiki_unpopular"]
    chosen = {name: BENCHMARKS[name] for name in names}
    return made_up(paper_grid(LAYERS, chosen, _STATISTICS), "ten models, seven benchmarks")


#: The reports by the names of their folders.
GALLERY: dict[str, Callable[[], ReportInputs]] = {"demo": small_study, "large": large_study}


def made_up(inputs: ReportInputs, title: str) -> ReportInputs:
    """The inputs with a title and a description that say that the results are made up."""
    study = inputs.provenance["study"] | {
        "title": f"Made-up results: {title}",
        "description": NOTE,
    }
    return replace(inputs, provenance=inputs.provenance | {"study": study})


def build_gallery(site: Path, workspace: Path) -> None:
    """Build every report into ``site``/gallery; ``workspace`` may have that of the demo."""
    for name, study in GALLERY.items():
        folder = site / "gallery" / name
        shutil.rmtree(folder, ignore_errors=True)
        if name == "demo" and has_demo(workspace / "report"):
            shutil.copytree(workspace / "report", folder)
        else:
            build_report(study(), folder, images=False)


def has_demo(report: Path) -> bool:
    """Whether a folder has the report of the demo study."""
    page = report / "index.html"
    return page.is_file() and 'data-study="demo"' in page.read_text(encoding="utf-8")


if __name__ == "__main__":
    build_gallery(Path(sys.argv[1]), Path(os.environ.get("GRADPIPE_HOME") or ".gradpipe"))
