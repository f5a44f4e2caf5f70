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
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import resolve_model
from gradpipe.studies.load import load_study, parse_study, study_yaml
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from gradpipe.system.user_folders import data_folder
from storage.filesystem import get, place_of, put, remove, set_aside
from storage.names import slug
from storage.row_store import KEY, RowStore
from storage.tables import Table

if TYPE_CHECKING:
    from filelock import FileLock

    from storage.filesystem import Place


#: A row of the store: what was extracted for one key.
SPECTRA_SCHEMA = pl.Schema(
    {KEY: pl.String} | {name: dtype for name, dtype in ROW_SCHEMA.items() if name != "row"}
)
DEFAULT_STUDY = "demo"
_REPORT, _PAGE = "report", "index.html"
_ITEMS, _RESPONSES, _QUALITY = "benchmark_items", "responses", "response_quality"
_GENERATIONS, _SPECTRA, _ROWS, _INDEX = "generations", "gradient_spectra", "rows", "index.parquet"
_STATISTICS, _ALIGNMENTS = "spectral_statistics", "gradient_alignments"
#: Folders of tables that a stage is judged by, and of those that it makes with them.
_COMPANIONS = {_RESPONSES: _QUALITY, _STATISTICS: _ALIGNMENTS}


class Workspace:
    """Every path gradpipe writes to, below one folder, which may be a local one or a URL's."""

    def __init__(self, root: Place) -> None:
        self.root = root

    @classmethod
    def current(cls) -> Workspace:
        """The workspace that GRADPIPE_HOME names, by default ``.gradpipe`` in the current folder.

        Makes a local folder; raises WorkspaceError where it cannot be made, or where a URL cannot
        hold a workspace or is out of reach.
        """
        return cls(place_of(os.environ.get("GRADPIPE_HOME") or ".gradpipe"))

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: runs, events, logs; always on this machine.

        For a workspace behind a URL it is the folder that DAGSTER_HOME names, otherwise one of the
        user's own, one per workspace.
        """
        if isinstance(self.root, Path):
            return self.root / "dagster"
        if home := os.environ.get("DAGSTER_HOME"):
            return Path(home).expanduser()
        return data_folder() / "instances" / content_hash(str(self.root))

    def lock(self, model: str, benchmark: str) -> FileLock:
        """A lock that one process of this machine can hold, and that ends with the process.

        For extractions of one model and benchmark: two at once would pay for every row twice.
        """
        from filelock import FileLock

        folder = self.dagster_home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{content_hash(model, benchmark)}.lock")

    @property
    def report_folder(self) -> Place:
        """The folder of the page, its images and its tables."""
        return self.root / _REPORT

    @property
    def report_page(self) -> Place:
        """The page itself."""
        return self.report_folder / _PAGE

    @contextmanager
    def report_files(self) -> Iterator[Path]:
        """A local folder to build the report in; it is in its place when the block ends well.

        Behind a URL the page is put there last, when all that it belongs with is there.
        """
        if isinstance(self.root, Path):
            yield self.root / _REPORT
            return
        from tempfile import TemporaryDirectory

        from storage.objects import send_folder

        with TemporaryDirectory(prefix="gradpipe-") as folder:
            yield Path(folder) / _REPORT
            send_folder(Path(folder) / _REPORT, self.root / _REPORT, last=_PAGE)

    @property
    def study_path(self) -> Place:
        """The study this workspace is about, paths made absolute."""
        return self.root / "study.yaml"

    def study(self) -> Study:
        """Return the workspace's study; the demo if no study was set."""
        content = get(self.study_path)
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
        put(self.study_path, lambda file: file.write(study_yaml(study).encode("utf-8")))

    def items(self, benchmark: str) -> Table:
        """The items of a benchmark."""
        return Table(self.root / _ITEMS / f"{slug(benchmark)}.parquet")

    def responses(self, benchmark: str) -> Table:
        """The examples of a benchmark."""
        return Table(self.root / _RESPONSES / f"{slug(benchmark)}.parquet")

    def quality(self, benchmark: str) -> Table:
        """What the gates found in a benchmark's responses, one row per response."""
        return Table(self.root / _QUALITY / f"{slug(benchmark)}.parquet")

    def generations(self, model: str) -> RowStore:
        """The answers of one generating model, whatever benchmark they were asked for."""
        return RowStore(self.root / _GENERATIONS / slug(model), CALL_SCHEMA)

    def spectra(self, model: str, benchmark: str) -> RowStore:
        """The row store of one model and benchmark."""
        return RowStore(self._spectra_folder(model, benchmark) / _ROWS, SPECTRA_SCHEMA)

    def spectra_index(self, model: str, benchmark: str) -> Table:
        """The examples of one model and benchmark with their keys in the row store."""
        return Table(self._spectra_folder(model, benchmark) / _INDEX)

    def lost_rows(self, model: str, benchmark: str) -> dict[Place, str]:
        """The index of one model and benchmark, where it names rows that no part holds.

        As damage, for ``set_aside``. Raises DamagedError where index or parts are damaged.
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

    def delete_model(self, name: str) -> None:
        """Remove a model's rows, indices and statistics; nothing happens where there are none.

        Rows are deleted last, so that an interrupted removal does not look complete.
        """
        remove(self.root / _STATISTICS / slug(name))
        remove(self.root / _ALIGNMENTS / slug(name))
        remove(self.root / _SPECTRA / slug(name), first=_INDEX)

    def discard_unusable(self, model: str, benchmark: str) -> int:
        """Take the rows that cannot be used out of the store; how many there were.

        The next run recomputes them and everything derived from them.
        """
        with self.lock(model, benchmark):
            unusable = pl.col("reason").is_not_null()
            store = self.spectra(model, benchmark)
            if not store.scan().filter(unusable).select(pl.len()).collect().item():
                return 0
            # First of all, so that what a stopped removal leaves is not taken for whole.
            remove(self.spectra_index(model, benchmark).path)
            remove(self.statistics(model, benchmark).path)
            return store.discard(unusable)

    def set_aside(self, damage: Mapping[Place, str]) -> list[Place]:
        """Move damaged files out of the way; the next run recomputes their content.

        Returns the new places of the files that existed. The table that marks a file as current
        moves first, so that an interrupted move does not leave it looking complete.
        """
        for place in damage:
            if (witness := self._witness(place)) is not None:
                remove(witness)
        return [moved for place in damage if (moved := set_aside(place)) is not None]

    def companion(self, place: Place) -> Place | None:
        """The table that a stage makes beside the one it is judged by, given that one's place."""
        return self._twin(place, _COMPANIONS)

    def _witness(self, place: Place) -> Place | None:
        """The table that a stage is judged by, where it made ``place`` beside it."""
        if place.parent.name == _ROWS:
            return place.parent.parent / _INDEX
        return self._twin(place, {theirs: ours for ours, theirs in _COMPANIONS.items()})

    def _twin(self, place: Place, folders: Mapping[str, str]) -> Place | None:
        folder, *below = place.parts[len(self.root.parts) :]
        return self.root.joinpath(folders[folder], *below) if folder in folders else None

    def report_notes(self) -> Table:
        """What the report was made from."""
        return Table(self.root / "report_notes.parquet")

    def _spectra_folder(self, model: str, benchmark: str) -> Place:
        return self.root / _SPECTRA / slug(model) / slug(benchmark)


def add_model(workspace: Workspace, model: str, revision: str | None = None, name: str = "") -> str:
    """Add a model to the workspace's study; returns what the study calls it.

    Raises GradpipeError for a model that does not exist or that the study has already.
    """
    pin(resolve_model(model, revision))
    study = workspace.study()
    name = name or (f"{model}@{revision}" if revision else model)
    config = ModelConfig(id=_absolute(model), revision=revision, name=name)
    _keep_models(workspace, study, (*study.models, config))
    return config.name


def remove_model(workspace: Workspace, name: str) -> None:
    """Take a model out of the workspace's study; raises StudyError where it is not in it."""
    study = workspace.study()
    gone = study.model(name)
    _keep_models(workspace, study, tuple(model for model in study.models if model != gone))


def _keep_models(workspace: Workspace, study: Study, models: tuple[ModelConfig, ...]) -> None:
    changed = study_yaml(study.model_copy(update={"models": models}))
    workspace.keep_study(parse_study(changed, str(workspace.study_path)))


def _absolute(model: str) -> str:
    """A local path made absolute; ``demo`` is none, even beside a folder of that name."""
    path = Path(model).expanduser()
    return str(path.resolve()) if model != "demo" and path.exists() else model
