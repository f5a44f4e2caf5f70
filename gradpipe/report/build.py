"""Builds the report: page, charts and tables in one folder, replaced in one step."""

import shutil
from contextlib import nullcontext
from pathlib import Path

from gradpipe.errors import WorkspaceError
from gradpipe.report.charts.images import drawing_images
from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style_sheet import showing
from gradpipe.report.tables.write import write_tables
from gradpipe.system.atomic_files import aside_path, sweep_leftovers
from gradpipe.system.atomic_folders import put_folder_in_place

_REPORT_ENTRIES = {"index.html", "charts", "tables"}


def build_report(inputs: ReportInputs, folder: Path, images: bool = True) -> Path:
    """Write index.html, tables/*.csv and, if ``images``, charts/*.svg and *.png.

    Everything is written to a temporary folder, which then replaces ``folder`` in one step, so that
    readers and killed builds see either the old report or the new one. Returns the path of
    index.html. Raises WorkspaceError if ``folder`` holds anything but an earlier report.
    """
    folder = Path(folder).absolute()
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_leftovers(folder.parent)
    temporary = aside_path(folder)
    temporary.mkdir()
    try:
        with showing(inputs.styles):
            write_tables(inputs, temporary / "tables")
            with drawing_images(inputs, temporary / "charts") if images else nullcontext():
                page = render_page(inputs)
                (temporary / "index.html").write_text(page, encoding="utf-8", newline="\n")
        put_folder_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / "index.html"


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise WorkspaceError(
            f"The report cannot be written to {folder}, which is a file: name a folder."
        )
    foreign = sorted(p.name for p in folder.glob("*") if p.name not in _REPORT_ENTRIES)
    if foreign:
        raise WorkspaceError(
            f"The report would replace {folder}, which holds {foreign[0]!r}: "
            "name an empty folder, or the folder of an earlier report."
        )
