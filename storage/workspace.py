"""The workspace: where a study's data, cache, Dagster instance and report live."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.errors import WorkspaceError
from gradpipe.generators.calls import CALL_SCHEMA
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.responses.written import OPINION_SCHEMA
from gradpipe.studies.load import load_study, parse_study, study_yaml
from gradpipe.studies.series import expand_series, series_of
from gradpipe.studies.series_config import SeriesConfig
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from gradpipe.system.user_folders import data_folder
from storage.locations import filesystem_of, home_setting, local_folder_of, open_location
from storage.names import earlier_slug, slug
from storage.row_store import KEY, RowStore
from storage.series_records import SeriesRecords
from storage.series_steps import series_steps
from storage.tables import Table

if TYPE_CHECKING:
    from filelock import FileLock

    from storage.filesystem import Location


#: A row of the store: the result of the extraction for one key.
SPECTRA_SCHEMA = pl.Schema(
    {KEY: pl.String} | {name: dtype for name, dtype in ROW_SCHEMA.items() if name != "row"}
)
#: The last column of items and examples, which only those of conversations have.
CONTEXT = pl.Schema({"context": pl.String()})
#: The last column of judged responses, which only those of a model have.
CALL_KEY = pl.Schema({"key": pl.String()})
DEFAULT_STUDY = "demo"
_REPORT, _PAGE = "report", "index.html"
_ITEMS, _RESPONSES, _QUALITY = "benchmark_items", "responses", "response_quality"
_GENERATIONS, _SPECTRA, _ROWS, _INDEX = "generations", "gradient_spectra", "rows", "index.parquet"
_STATISTICS, _ALIGNMENTS = "spectral_statistics", "gradient_alignments"
_SETS = "example_sets"
#: Folders of the tables that mark a stage as current: the folders of the tables written with them.
_COMPANIONS = {_RESPONSES: (_QUALITY,), _STATISTICS: (_ALIGNMENTS, _SETS)}


class Workspace:
    """Every path gradpipe writes to, below one folder, which is local or behind a URL."""

    def __init__(self, root: Location) -> None:
        self.root = root
        self.files = filesystem_of(root)

    @classmethod
    def current(cls, home: str | None = None) -> Workspace:
        """The workspace in ``home``, a folder or URL; by default the one that GRADPIPE_HOME names.

        Without either, ``.gradpipe`` in the current folder. Creates a local folder. Raises
        WorkspaceError if that fails, if a URL cannot hold a workspace, or if its store cannot be
        reached.
        """
        setting = "--workspace" if home else "GRADPIPE_HOME"
        return cls(open_location(home_setting(home), setting))

    @classmethod
    def existing(cls, home: str | None = None) -> Workspace | None:
        """As ``current``, but None if the local folder does not exist yet."""
        folder = cls.current_folder(home)
        if folder is None:
            return cls.current(home)
        return cls(folder) if folder.is_dir() else None

    @staticmethod
    def current_folder(home: str | None = None) -> Path | None:
        """The local folder of ``current``, which may not exist yet; None for a URL.

        Raises WorkspaceError if the path is invalid.
        """
        return local_folder_of(home_setting(home))

    @property
    def local_root(self) -> Path | None:
        """The workspace's folder if it is local, or None if it is behind a URL."""
        return self.files.local_path(self.root)

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: runs, events, logs; always on this machine.

        For a workspace behind a URL it is the folder that DAGSTER_HOME names, or by default one
        folder per workspace in the user's data folder.
        """
        if (root := self.local_root) is not None:
            return root / "dagster"
        if home := os.environ.get("DAGSTER_HOME"):
            return Path(home).expanduser()
        return data_folder() / "instances" / content_hash(str(self.root))

    def lock(self, model: str, benchmark: str) -> FileLock:
        """A lock that one process of this machine can hold, and that ends with the process.

        For extractions and merges of one model and benchmark: two extractions at once would compute
        every row twice.
        """
        # Imported here, since it comes with the extra `pipeline`, which most commands do not need.
        from filelock import FileLock

        folder = self.dagster_home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{content_hash(model, benchmark)}.lock")

    @property
    def report_folder(self) -> Location:
        """The folder of the page, its images and its tables."""
        return self.root / _REPORT

    @property
    def report_page(self) -> Location:
        """The page itself."""
        return self.report_folder / _PAGE

    @contextmanager
    def report_files(self) -> Iterator[Path]:
        """A local folder to build the report in, for a block that ends when the report is complete.

        For a workspace behind a URL, the files are sent then, the page after all others.
        """
        with self.files.local_folder(self.report_folder, last=_PAGE) as folder:
            yield folder

    @property
    def study_path(self) -> Location:
        """The study this workspace is about, paths made absolute."""
        return self.root / "study.yaml"

    @property
    def series(self) -> SeriesRecords:
        """The records of the study's series."""
        return SeriesRecords(self.root / "series")

    def study(self) -> Study:
        """Return the workspace's study, with a model per step of its series.

        The demo if no study was set.
        """
        return self.expand(self.written_study())

    def expand(self, study: Study) -> Study:
        """Return a study with a model per step of its series, as the checkpoints are now."""
        if not any(isinstance(model, SeriesConfig) for model in study.models):
            return study
        return expand_series(study, lambda entry: series_steps(entry, self.series).steps)

    def series_notes(self, study: Study) -> list[str]:
        """Sentences about checkpoints of the study's series that are not used."""
        return [
            note for entry in series_of(study) for note in series_steps(entry, self.series).notes
        ]

    def written_study(self) -> Study:
        """Return the workspace's study as it was written, with its series as entries."""
        content = self.files.read(self.study_path)
        if content is None:
            return load_study(DEFAULT_STUDY)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise WorkspaceError(
                f"{self.study_path} cannot be read (not UTF-8 text): give the study again with "
                "`gradpipe run --study`."
            ) from error
        return parse_study(text, str(self.study_path))

    def keep_study(self, study: Study) -> None:
        """Make ``study`` the one this workspace is about."""
        self.files.write(self.study_path, study_yaml(study).encode("utf-8"))

    def items(self, benchmark: str) -> Table:
        """The items of a benchmark."""
        return Table(self.root / _ITEMS / f"{slug(benchmark)}.parquet", CONTEXT)

    def responses(self, benchmark: str) -> Table:
        """The examples of a benchmark."""
        return Table(self.root / _RESPONSES / f"{slug(benchmark)}.parquet", CONTEXT)

    def quality(self, benchmark: str) -> Table:
        """The results of the gates on a benchmark's responses, one row per response."""
        return Table(
            self.root / _QUALITY / f"{slug(benchmark)}.parquet",
            pl.Schema({**CALL_KEY, **OPINION_SCHEMA}),
        )

    def generations(self, model: str) -> RowStore:
        """The answers of one generating model, for all benchmarks."""
        return RowStore(self.root / _GENERATIONS / slug(model), CALL_SCHEMA)

    def spectra(self, model: str, benchmark: str) -> RowStore:
        """The row store of one model and benchmark."""
        return RowStore(self._spectra_folder(model, benchmark) / _ROWS, SPECTRA_SCHEMA)

    def spectra_index(self, model: str, benchmark: str) -> Table:
        """The examples of one model and benchmark with their keys in the row store."""
        return Table(self._spectra_folder(model, benchmark) / _INDEX, CONTEXT)

    def lost_rows(self, model: str, benchmark: str) -> dict[Location, str]:
        """The index of one model and benchmark and its damage, if it names rows that are missing.

        For ``quarantine``; empty otherwise. Raises DamagedError if the index or a part is damaged.
        """
        index = self.spectra_index(model, benchmark)
        keys = index.scan().select(KEY).collect().to_series()
        lost = len(self.spectra(model, benchmark).missing(keys))
        return {index.path: f"names {lost} rows that are not in the store"} if lost else {}

    def statistics(self, model: str, benchmark: str) -> Table:
        """The statistics of one model and benchmark."""
        return Table(self.root / _STATISTICS / slug(model) / f"{slug(benchmark)}.parquet")

    def alignments(self, model: str, benchmark: str) -> Table:
        """The cosines of one model and benchmark."""
        return Table(self.root / _ALIGNMENTS / slug(model) / f"{slug(benchmark)}.parquet")

    def example_sets(self, model: str, benchmark: str) -> Table:
        """The sets of examples of one model and benchmark."""
        return Table(self.root / _SETS / slug(model) / f"{slug(benchmark)}.parquet")

    def delete_model(self, name: str) -> None:
        """Delete a model's rows, indices and statistics, if there are any.

        Rows are deleted last, so that an interrupted removal does not look complete.
        """
        self.files.delete(self.root / _STATISTICS / slug(name))
        self.files.delete(self.root / _ALIGNMENTS / slug(name))
        self.files.delete(self.root / _SETS / slug(name))
        self.files.delete(self._spectra_of(name), first=_INDEX)

    def discard_unusable(self, model: str, benchmark: str) -> int:
        """Delete the rows that cannot be used from the store; return their number.

        The next run recomputes them and everything derived from them.
        """
        with self.lock(model, benchmark):
            unusable = pl.col("reason").is_not_null()
            store = self.spectra(model, benchmark)
            if not store.scan().filter(unusable).select(pl.len()).collect().item():
                return 0
            # Deleted before the rows, so that an interrupted removal does not look complete.
            self.files.delete(self.spectra_index(model, benchmark).path)
            self.files.delete(self.statistics(model, benchmark).path)
            return store.discard(unusable)

    def quarantine(self, damage: Mapping[Location, str]) -> list[Location]:
        """Rename damaged files so that no reader uses them; the next run recomputes their content.

        Returns the new locations of the files that existed. The table that marks a file as current
        is deleted first, so that an interruption does not leave the file looking current.
        """
        for file in damage:
            if (marker := self._marker_of(file)) is not None:
                self.files.delete(marker)
        return [moved for file in damage if (moved := self.files.quarantine(file)) is not None]

    def companions(self, table: Location) -> list[Location]:
        """The tables that a stage writes with ``table``, which marks the stage as current."""
        folder, *below = table.parts[len(self.root.parts) :]
        return [self.root.joinpath(name, *below) for name in _COMPANIONS.get(folder, ())]

    def _marker_of(self, file: Location) -> Location | None:
        """The table that marks a stage as current, if the stage wrote ``file`` with it."""
        if file.parent.name == _ROWS:
            return file.parent.parent / _INDEX
        folder, *below = file.parts[len(self.root.parts) :]
        ours = (name for name, companions in _COMPANIONS.items() if folder in companions)
        return next((self.root.joinpath(name, *below) for name in ours), None)

    def report_notes(self) -> Table:
        """The versions of the tables that the report was made from."""
        return Table(self.root / "report_notes.parquet")

    def _spectra_folder(self, model: str, benchmark: str) -> Location:
        return self._spectra_of(model) / slug(benchmark)

    def _spectra_of(self, model: str) -> Location:
        """The folder of a model's rows; a local one of an earlier version is renamed."""
        folder, earlier = slug(model), earlier_slug(model)
        if earlier != folder and (root := self.local_root) is not None:
            old, new = root / _SPECTRA / earlier, root / _SPECTRA / folder
            if old.is_dir() and not new.exists():
                old.rename(new)
        return self.root / _SPECTRA / folder
