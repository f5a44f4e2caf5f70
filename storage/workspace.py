"""The workspace: where a study's data, cache, Dagster instance and report live."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from gradpipe.aside import written_aside
from gradpipe.errors import WorkspaceError
from gradpipe.gradients.extract import ROW_SCHEMA
from gradpipe.studies.study import Study, load_study, parse_study, study_yaml
from storage.rows import KEY, RowStore
from storage.slugs import slug
from storage.tables import Table

#: A row of the store: what was extracted for one key.
SPECTRA_SCHEMA = pl.Schema(
    {KEY: pl.String} | {name: dtype for name, dtype in ROW_SCHEMA.items() if name != "row"}
)
DEFAULT_STUDY = "demo"


class Workspace:
    """Every path gradpipe writes to, below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def current(cls) -> Workspace:
        """The workspace that GRADPIPE_HOME names, by default ``.gradpipe`` in the current folder.

        Makes the folder; raises WorkspaceError where it cannot be made or is a URL.
        """
        home = os.environ.get("GRADPIPE_HOME") or ".gradpipe"
        if "://" in home:
            raise WorkspaceError(
                f"GRADPIPE_HOME is {home}: a workspace has to be a folder on this machine, since "
                "Dagster keeps its own records there."
            )
        try:
            root = Path(home).expanduser().resolve()
            root.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise WorkspaceError(
                f"The workspace {Path(home).absolute()} cannot be made ({reason}): set "
                "GRADPIPE_HOME to a folder that you may write."
            ) from error
        return cls(root)

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: runs, events, logs."""
        return self.root / "dagster"

    @property
    def report_folder(self) -> Path:
        """The folder of the page, its images and its tables."""
        return self.root / "report"

    @property
    def report_page(self) -> Path:
        """The page itself."""
        return self.report_folder / "index.html"

    @property
    def study_path(self) -> Path:
        """The study this workspace is about, paths made absolute."""
        return self.root / "study.yaml"

    def study(self) -> Study:
        """The workspace's study; the demo where none was ever given."""
        if not self.study_path.is_file():
            return load_study(DEFAULT_STUDY)
        try:
            text = self.study_path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise WorkspaceError(
                f"{self.study_path} cannot be read ({reason}): give the study again with "
                "`gradpipe run --study`."
            ) from error
        return parse_study(text, str(self.study_path))

    def keep_study(self, study: Study) -> None:
        """Make ``study`` the one this workspace is about."""
        try:
            with written_aside(self.study_path) as aside:
                aside.write_text(study_yaml(study), "utf-8")
        except OSError as error:
            raise WorkspaceError(
                f"{self.study_path} cannot be written ({error.strerror}): check the workspace's "
                "permissions."
            ) from error

    def items(self, benchmark: str) -> Table:
        """The items of a benchmark."""
        return Table(self.root / "benchmark_items" / f"{slug(benchmark)}.parquet")

    def responses(self, benchmark: str) -> Table:
        """The examples of a benchmark."""
        return Table(self.root / "responses" / f"{slug(benchmark)}.parquet")

    def spectra(self, model: str, benchmark: str) -> RowStore:
        """The row store of one model and benchmark."""
        return RowStore(self._spectra_folder(model, benchmark) / "rows", SPECTRA_SCHEMA)

    def spectra_index(self, model: str, benchmark: str) -> Table:
        """The examples of one model and benchmark with their keys in the row store."""
        return Table(self._spectra_folder(model, benchmark) / "index.parquet")

    def statistics(self, model: str, benchmark: str) -> Table:
        """The statistics of one model and benchmark."""
        return Table(self.root / "spectral_statistics" / slug(model) / f"{slug(benchmark)}.parquet")

    def report_notes(self) -> Table:
        """What the report was made from."""
        return Table(self.root / "report_notes.parquet")

    def _spectra_folder(self, model: str, benchmark: str) -> Path:
        return self.root / "gradient_spectra" / slug(model) / slug(benchmark)
