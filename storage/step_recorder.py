"""Write what a probe measures during training into a workspace, as steps of a series."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.checkpoints.checkpoint import step_model_name
from gradpipe.errors import WorkspaceError
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import with_keys
from gradpipe.studies.examples import depends_on_calls, study_examples, study_items
from gradpipe.studies.load import study_yaml
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.series import series_of
from gradpipe.studies.study import Study
from storage.locations import open_location
from storage.study_models import record_step
from storage.workspace import Workspace


class WorkspaceStepRecorder:
    """Writes the rows of a series' steps, for which there are no weights on disk.

    ``place`` is the workspace's folder or URL. With a ``study``, a workspace without one gets it.
    ``folder`` is the training's output folder. The next run of the pipeline computes statistics and
    report from the rows. Raises WorkspaceError if the workspace has another study, or none.
    """

    def __init__(
        self, place: str | Path, study: Study | None, series: str, folder: str = ""
    ) -> None:
        self.workspace = Workspace(open_location(str(place)))
        self.series = series
        self.folder = str(Path(folder).resolve()) if folder else ""
        self._study = self._kept(study, str(place))

    @cached_property
    def examples(self) -> pl.DataFrame:
        """The study's examples (EXAMPLE_SCHEMA), benchmark by benchmark; raises DataError."""
        parts = [self._examples_of(benchmark) for benchmark in self._study.benchmarks]
        return pl.concat(parts, how="diagonal")

    @property
    def model_id(self) -> str:
        """What the study calls the model."""
        return self._model.id

    @property
    def protocol(self) -> Protocol:
        """The study's protocol as it applies to the series."""
        return self._study.protocol_of(self._model)

    @property
    def _model(self) -> ModelConfig:
        """A model of the series, with the settings of its entry in the study."""
        entries = {entry.name: entry for entry in series_of(self._study)}
        place = self.folder or self.series
        if self.series in entries:
            return entries[self.series].model_copy(update={"id": place})
        return ModelConfig(id=place)

    def record(
        self, step: int, rows: pl.DataFrame, *, identity: str, notes: Sequence[str] = ()
    ) -> None:
        """Write the rows (ROW_SCHEMA) of one step; ``row`` is the position in ``examples``.

        ``identity`` is a hash of the step's weights. Rows that are there already are not written
        again.
        """
        model = step_model_name(self.series, step)
        keyed = with_keys(self.examples, self.protocol, identity).with_row_index("row")
        measured = keyed.select(pl.col("row").cast(pl.Int64), "benchmark", "key").join(
            rows, on="row", maintain_order="left"
        )
        record_step(self.workspace, self.series, step, identity, folder=self.folder, notes=notes)
        for (benchmark,), part in measured.partition_by("benchmark", as_dict=True).items():
            with self.workspace.lock(model, str(benchmark)):
                store = self.workspace.spectra(model, str(benchmark))
                missing = store.missing(part["key"])
                new = part.filter(pl.col("key").is_in(missing)).unique("key", maintain_order=True)
                store.append(new.drop("row", "benchmark"))

    def _kept(self, study: Study | None, place: str) -> Study:
        """The workspace's study, which is ``study`` if it had none."""
        if not self.workspace.files.read(self.workspace.study_path):
            if study is None:
                raise WorkspaceError(
                    f"The workspace {place} has no study to take a probe set from: pass `study` "
                    "too."
                )
            self.workspace.keep_study(study)
        kept = self.workspace.written_study()
        if study is not None and "name" not in study.model_fields_set:
            # Earlier versions kept it without the name of its file.
            study = study.model_copy(update={"name": kept.name})
        if study is not None and _without_models(kept) != _without_models(study):
            raise WorkspaceError(
                f"The workspace {place} has another study ({kept.name!r}): leave `study` out to "
                "use it, or give another workspace."
            )
        return kept

    def _examples_of(self, benchmark: BenchmarkConfig) -> pl.DataFrame:
        if not depends_on_calls(self._study):
            items = study_items(self._study, benchmark)
            return study_examples(self._study, benchmark, items).examples
        table = self.workspace.responses(benchmark.name)
        if table.notes() is None:
            raise WorkspaceError(
                f"The workspace has no responses of benchmark {benchmark.name!r} yet, which the "
                "study's generator writes or its judge reads: run `gradpipe run` in it before "
                "training."
            )
        return table.read()


def _without_models(study: Study) -> str:
    """All settings of a study but its models, to which series are added."""
    return study_yaml(study.model_copy(update={"models": ()}))
