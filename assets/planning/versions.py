"""What each stage's output depends on, as one hash: equal versions need no work."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import compress
from typing import Any

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import source_version
from gradpipe.errors import GradpipeError
from gradpipe.generators.calls import GENERATOR_VERSION
from gradpipe.generators.config import MAX_TOKENS
from gradpipe.generators.prompts import load_template
from gradpipe.gradients.rows import EXTRACTOR_VERSION
from gradpipe.models.fingerprint import fingerprint, pin
from gradpipe.models.source import ModelSource, resolve_model
from gradpipe.report import REPORT_VERSION
from gradpipe.responses.build import RESPONSES_VERSION
from gradpipe.responses.written import GATES_VERSION
from gradpipe.statistics.reductions import STATISTICS_VERSION
from gradpipe.studies.examples import counts_tokens
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from storage.tables import Notes, Table, read_notes
from storage.workspace import Workspace

#: Stages that one run may take together: the first out of date makes the second so too. Responses
#: are not with their items, which may turn out to be the same as before.
ITEMS = ("benchmark_items",)
RESPONSES = ("responses",)
CELL = ("gradient_spectra", "spectral_statistics")
REPORT = ("report",)
STAGE_NAMES = (*ITEMS, *RESPONSES, *CELL, *REPORT)


class Versions:
    """The versions that a study's stages should have now, given what is in the workspace.

    Sources and models are asked once and remembered for as long as this object lives. Every method
    raises GradpipeError if a source or model is unavailable.
    """

    def __init__(self, workspace: Workspace, study: Study) -> None:
        self.workspace = workspace
        self.study = study
        self._answers: dict[tuple[str, str], Any] = {}
        self._notes: dict[tuple[str, str, str], Notes | None] = {}

    def is_current(self, stage: str, model: str = "", benchmark: str = "") -> bool:
        """Whether a stage's table was made from just what it would be made from now."""
        notes = self.notes(stage, model, benchmark)
        return (
            notes is not None
            and notes.version == self.version(stage, model, benchmark)
            and (stage != "report" or self.workspace.report_page.is_file())
        )

    def notes(self, stage: str, model: str = "", benchmark: str = "") -> Notes | None:
        """Return the notes of a stage's table, or None if it has no table."""
        cell = (stage, model, benchmark)
        return self._notes[cell] if cell in self._notes else self.table(*cell).notes()

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """While open, every table's notes are those of its opening, read all at once.

        For a plan of what is there, which asks for each many times. Within another such block it
        changes nothing.
        """
        if self._notes:
            yield
            return
        grid = [(model, benchmark) for model, benchmark in sorted(self.study.grid())]
        cells = [
            ("report", "", ""),
            *(
                (stage, "", entry.name)
                for stage in (*ITEMS, *RESPONSES)
                for entry in self.study.benchmarks
            ),
            *((stage, *cell) for stage in CELL for cell in grid),
        ]
        self._notes = dict(
            zip(cells, read_notes([self.table(*cell) for cell in cells]), strict=True)
        )
        try:
            yield
        finally:
            self._notes = {}

    def table(self, stage: str, model: str = "", benchmark: str = "") -> Table:
        """The table of one partition of a stage."""
        match stage:
            case "benchmark_items":
                return self.workspace.items(benchmark)
            case "responses":
                return self.workspace.responses(benchmark)
            case "gradient_spectra":
                return self.workspace.spectra_index(model, benchmark)
            case "spectral_statistics":
                return self.workspace.statistics(model, benchmark)
            case _:
                return self.workspace.report_notes()

    def version(self, stage: str, model: str = "", benchmark: str = "") -> str:
        """The version that one partition of a stage should have now."""
        match stage:
            case "benchmark_items":
                return self.items(benchmark)
            case "responses":
                return self.responses(benchmark)
            case "gradient_spectra":
                return self.spectra(model, benchmark)
            case "spectral_statistics":
                return self.statistics(model, benchmark)
            case _:
                return self.report()

    def source(self, benchmark: str) -> str:
        """The version of a benchmark's source."""
        config = self.study.benchmark(benchmark)
        version: str = self._answer(("source", benchmark), lambda: source_version(config))
        return version

    def model(self, model: str) -> tuple[ModelSource, str]:
        """A model's pinned source and its fingerprint."""
        config = self.study.model(model)

        def ask() -> tuple[ModelSource, str]:
            source = pin(resolve_model(config.id, config.revision))
            return source, fingerprint(source)

        found: tuple[ModelSource, str] = self._answer(("model", model), ask)
        return found

    def _answer(self, question: tuple[str, str], ask: Callable[[], Any]) -> Any:
        """Return the first answer or error, cached: a hub may take ten seconds to answer."""
        if question not in self._answers:
            try:
                self._answers[question] = ask()
            except GradpipeError as error:
                self._answers[question] = error
        if isinstance(answer := self._answers[question], GradpipeError):
            raise answer
        return answer

    def reachable_models(self) -> list[str]:
        """List the study's available models; a missing one must not stop the others."""
        return _answering(self.model, [model.name for model in self.study.models])

    def reachable_benchmarks(self) -> list[str]:
        """List the study's benchmarks whose sources are available now."""
        return _answering(self.source, [entry.name for entry in self.study.benchmarks])

    def ask_all(self, models: Iterable[str], benchmarks: Iterable[str]) -> None:
        """Ask all those sources and models, side by side; raises the first error."""
        for ask, names in ((self.source, list(benchmarks)), (self.model, list(models))):
            _answering(ask, names)
            for name in names:
                ask(name)

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
            self._data("benchmark_items", benchmark=benchmark),
            config.styles or study.styles,
            study.relevances,
            (study.irrelevant, study.sampling, study.seed)
            if "irrelevant" in study.relevances
            else None,
            self._writing(config),
            GATES_VERSION,
        )

    def _writing(self, benchmark: BenchmarkConfig) -> object:
        """What decides the texts that the source does not bring."""
        generator = self.study.generator
        counted = counts_tokens(self.study, benchmark) and self.study.models
        counter = self.model(self.study.models[0].name)[1] if counted else None
        if generator.kind == "source":
            return counter or "source"
        prompts = {
            style: load_template(style, generator.prompts).hash
            for style in MAX_TOKENS
            if style in (generator.styles or MAX_TOKENS)
        }
        identity = self._answer(("generator", ""), generator.identity)
        settings = identity, generator.mismatches, generator.styles
        return GENERATOR_VERSION, settings, prompts, counter

    def spectra(self, model: str, benchmark: str) -> str:
        """Examples, protocol, model weights, extractor version."""
        protocol = self.study.protocol_of(self.study.model(model))
        return content_hash(
            EXTRACTOR_VERSION,
            self._data("responses", benchmark=benchmark),
            protocol.key(),
            self.model(model)[1],
        )

    def statistics(self, model: str, benchmark: str) -> str:
        """The spectra and the list of statistics."""
        return content_hash(
            STATISTICS_VERSION,
            self._data("gradient_spectra", model, benchmark),
            self.study.statistics,
        )

    def report(self) -> str:
        """Every statistic it reads, and the study that it prints."""
        with self.remembered():
            read = [(*cell, self._data("spectral_statistics", *cell)) for cell in self.cells()]
            # Each verdict follows from what the responses were made of.
            judged = {
                benchmark: getattr(self.notes("responses", "", benchmark), "version", None)
                for _, benchmark, _ in read
            }
        without: Any = dict.fromkeys(
            ("automation", "unusable_limit", "mismatch_limit", "engine", "ray"), True
        )
        without["models"] = {"__all__": {"device_map", "gradient_checkpointing", "max_memory"}}
        printed = self.study.model_dump(mode="json", exclude=without)
        return content_hash(REPORT_VERSION, printed, read, judged)

    def cells(self) -> list[tuple[str, str]]:
        """The (model, benchmark) pairs that the report shows: those current in every stage.

        A pair whose statistics come from an earlier protocol, sample or checkpoint would stand
        beside new ones as if it were one of them.
        """
        with self.remembered():
            benchmarks = [
                benchmark
                for benchmark in self.reachable_benchmarks()
                if self.is_current("benchmark_items", benchmark=benchmark)
                and self.is_current("responses", benchmark=benchmark)
            ]
            return [
                (model, benchmark)
                for model in self.reachable_models()
                for benchmark in benchmarks
                if self.is_current("gradient_spectra", model, benchmark)
                and self.is_current("spectral_statistics", model, benchmark)
            ]

    def _data(self, stage: str, model: str = "", benchmark: str = "") -> str | None:
        notes = self.notes(stage, model, benchmark)
        return notes.data if notes else None


def _answering(ask: Callable[[str], object], names: Sequence[str]) -> list[str]:
    """Those names that can be asked for, all asked side by side: each hub model is a request."""

    def answers(name: str) -> bool:
        try:
            ask(name)
        except GradpipeError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        return list(compress(names, pool.map(answers, names)))
