"""What each stage's output depends on, as one hash: equal versions need no work."""

from functools import cached_property

from gradpipe.benchmarks.read import source_version
from gradpipe.gradients.extract import EXTRACTOR_VERSION
from gradpipe.hashing import content_hash
from gradpipe.models.fingerprint import fingerprint, pin
from gradpipe.models.source import ModelSource, resolve_model
from gradpipe.report import REPORT_VERSION
from gradpipe.responses.build import RESPONSES_VERSION
from gradpipe.statistics.reductions import STATISTICS_VERSION
from gradpipe.studies.study import Study
from storage.tables import Notes, Table
from storage.workspace import Workspace


class Versions:
    """The versions that a study's stages should have now, given what is in the workspace.

    Sources and models are asked once and remembered for as long as this object lives. Every method
    raises GradpipeError where a source or model is not to be had.
    """

    def __init__(self, workspace: Workspace, study: Study) -> None:
        self.workspace = workspace
        self.study = study
        self._models: dict[str, tuple[ModelSource, str]] = {}
        self._sources: dict[str, str] = {}

    def source(self, benchmark: str) -> str:
        """The version of a benchmark's source."""
        if benchmark not in self._sources:
            self._sources[benchmark] = source_version(self.study.benchmark(benchmark))
        return self._sources[benchmark]

    def model(self, model: str) -> tuple[ModelSource, str]:
        """A model's pinned source and its fingerprint."""
        if model not in self._models:
            config = self.study.model(model)
            source = pin(resolve_model(config.id, config.revision))
            self._models[model] = source, fingerprint(source)
        return self._models[model]

    def items(self, benchmark: str) -> str:
        """Source revision, sample size, seed."""
        study, config = self.study, self.study.benchmark(benchmark)
        sample = config.sample or study.sample
        drawn = (sample, study.sampling, study.seed) if sample else None
        return content_hash("items", self.source(benchmark), drawn)

    def responses(self, benchmark: str) -> str:
        """Item content, styles, generator and its settings."""
        study, config = self.study, self.study.benchmark(benchmark)
        return content_hash(
            RESPONSES_VERSION,
            self._data(self.workspace.items(benchmark)),
            config.styles or study.styles,
            study.relevances,
            (study.irrelevant, study.sampling, study.seed)
            if "irrelevant" in study.relevances
            else None,
            study.generator,
        )

    def spectra(self, model: str, benchmark: str) -> str:
        """Examples, protocol, model weights, extractor version."""
        protocol = self.study.protocol_of(self.study.model(model))
        return content_hash(
            EXTRACTOR_VERSION,
            self._data(self.workspace.responses(benchmark)),
            protocol.key(),
            self.model(model)[1],
        )

    def statistics(self, model: str, benchmark: str) -> str:
        """The spectra and the list of statistics."""
        return content_hash(
            STATISTICS_VERSION,
            self._data(self.workspace.spectra_index(model, benchmark)),
            self.study.statistics,
        )

    @cached_property
    def _report_settings(self) -> str:
        return content_hash(REPORT_VERSION, self.study.model_dump(mode="json"))

    def report(self) -> str:
        """Every statistic it reads, and the study that it prints."""
        tables = [
            (
                model.name,
                benchmark.name,
                self._data(self.workspace.statistics(model.name, benchmark.name)),
            )
            for model in self.study.models
            for benchmark in self.study.benchmarks
        ]
        return content_hash(self._report_settings, tables)

    @staticmethod
    def _data(table: Table) -> str | None:
        notes: Notes | None = table.notes()
        return notes.data if notes else None
