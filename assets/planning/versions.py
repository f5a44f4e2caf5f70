"""Stages and their versions: hashes of all that an output depends on; equal ones need no work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from gradpipe.benchmarks.read import source_revision, source_version
from gradpipe.check import Check
from gradpipe.checkpoints.fingerprints import checkpoint_fingerprint
from gradpipe.errors import GradpipeError
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.row_identity import row_identity
from gradpipe.gradients.template_notes import notes_of_model
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.source import ModelSource, resolve_model
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.study import Study
from gradpipe.studies.study_models import find_study_model
from storage.remote_checkpoints import fetch_tokenizer
from storage.stages import Partition, StageFiles
from storage.tables import Notes, Table, read_notes
from storage.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A stage of the pipeline, as the plan, the runner and the jobs see it.

    ``asset`` computes one partition and writes ``files``; its name is that of the files. ``reads``
    are the stages whose tables it reads directly. ``version`` is the hash of all that a partition
    should be computed from now; it raises GradpipeError if a source or model is unavailable.
    ``job`` is the job that runs the stage in Dagster. ``checks`` reads a stored partition and runs
    its asset checks. With ``joins_upstream_run`` the run that
    computes the stage before also computes this one. ``counts_rows``: whether "computed" and
    "reused" count rows or partitions.
    """

    asset: dg.AssetsDefinition
    files: StageFiles
    reads: tuple[Stage, ...] = ()
    version: Callable[[Versions, Partition], str]
    job: str
    checks: Callable[[Versions, Partition], list[Check]] | None = None
    joins_upstream_run: bool = False
    counts_rows: bool = True

    @property
    def name(self) -> str:
        """The name of the asset, and of the stage in tables, messages and JSON."""
        return self.files.name

    @property
    def pool(self) -> str | None:
        """The Dagster pool whose slots limit how many partitions are computed at a time."""
        return self.asset.op.pool

    @property
    def upstream(self) -> tuple[Stage, ...]:
        """All stages that it depends on, directly or through others, in their order."""
        stages = (stage for read in self.reads for stage in (*read.upstream, read))
        return tuple(dict.fromkeys(stages))

    @property
    def summarizes(self) -> bool:
        """Whether it reads any number of partitions of another stage, as the report does."""
        mine = set(self.files.partitioned_by)
        return any(not set(stage.files.partitioned_by) <= mine for stage in self.upstream)

    def partitions(self, study: Study) -> list[Partition]:
        """Every partition of a study."""
        models = [model.name for model in study.models]
        return list(self.files.partitions(models, [entry.name for entry in study.benchmarks]))


class Versions:
    """The versions that a study's stages should have now, given the tables in the workspace.

    Sources and models are looked up once and remembered for as long as this object lives. Every
    method raises GradpipeError if a source or model is unavailable.
    """

    def __init__(self, workspace: Workspace, study: Study) -> None:
        self.workspace = workspace
        self.study = study
        self._configs = {model.name: model for model in study.models}
        self._protocols: dict[str, tuple[Protocol, dict[str, Any]]] = {}
        self._answers: dict[tuple[str, str], Any] = {}
        self._notes: dict[tuple[str, Partition], Notes | None] = {}

    def config(self, model: str) -> ModelConfig:
        """The settings of a model; raises StudyError if the study does not have it."""
        return self._configs[model] if model in self._configs else self.study.model(model)

    def protocol(self, model: str) -> Protocol:
        """The protocol as it applies to a model."""
        return self._protocol_and_key(model)[0]

    def protocol_key(self, model: str) -> dict[str, Any]:
        """The ``key`` of that protocol."""
        return self._protocol_and_key(model)[1]

    def _protocol_and_key(self, model: str) -> tuple[Protocol, dict[str, Any]]:
        if model not in self._protocols:
            protocol = self.study.protocol_of(self.config(model))
            self._protocols[model] = protocol, protocol.key()
        return self._protocols[model]

    def version(self, stage: Stage, partition: Partition) -> str:
        """The version that one partition of a stage should have now."""
        return stage.version(self, partition)

    def is_current(self, stage: Stage, partition: Partition) -> bool:
        """Whether a stage's table was computed from exactly its present inputs."""
        notes = self.notes(stage, partition)
        if notes is None:
            return False
        try:
            version = self.version(stage, partition)
        except GradpipeError:
            if partition.model and self.config(partition.model).checkpoint is not None:
                # Training deletes and rewrites checkpoints at any moment.
                return False
            raise
        return notes.version == version and stage.files.is_complete(self.workspace)

    def notes(self, stage: Stage, partition: Partition) -> Notes | None:
        """Return the notes of a stage's table, or None if it has no table."""
        key = stage.name, partition
        return self._notes[key] if key in self._notes else self.table(stage, partition).notes()

    def data(self, stage: Stage, partition: Partition) -> str | None:
        """Return the hash of the content of a stage's table, or None if it has no table."""
        notes = self.notes(stage, partition)
        return notes.data if notes else None

    def table(self, stage: Stage, partition: Partition) -> Table:
        """The table of one partition of a stage."""
        return stage.files.table_of(self.workspace, partition)

    @contextmanager
    def snapshot(self, stages: Sequence[Stage]) -> Iterator[None]:
        """Read the notes of all tables of those stages once, and use them throughout the block.

        For plans, which need the same notes many times. A nested snapshot has no effect.
        """
        if self._notes:
            yield
            return
        cells = [(stage, cell) for stage in stages for cell in stage.partitions(self.study)]
        notes = read_notes([self.table(stage, cell) for stage, cell in cells])
        keys = [(stage.name, cell) for stage, cell in cells]
        self._notes = dict(zip(keys, notes, strict=True))
        try:
            yield
        finally:
            self._notes = {}

    def current_partitions(self, stage: Stage) -> list[Partition]:
        """The available partitions at which a stage and all stages upstream of it are current.

        A partition that is left out may hold results of an earlier protocol, sample or checkpoint,
        which must not be mixed with new ones.
        """
        chain = (*stage.upstream, stage)
        is_current = cache(self.is_current)
        with self.snapshot(chain):
            benchmarks, models = self.reachable_benchmarks(), self.reachable_models()
            return [
                partition
                for partition in stage.files.partitions(models, benchmarks)
                if all(is_current(link, link.files.partition_of(partition)) for link in chain)
            ]

    def source(self, benchmark: str) -> str:
        """The version of a benchmark's source."""
        config = self.study.benchmark(benchmark)
        version: str = self._answer(("source", benchmark), lambda: source_version(config))
        return version

    def revision(self, benchmark: str) -> str | None:
        """The commit of a benchmark that is a data set of the hub; None for any other."""
        config = self.study.benchmark(benchmark)
        commit: str | None = self._answer(("revision", benchmark), lambda: source_revision(config))
        return commit

    def model(self, model: str) -> tuple[ModelSource, str]:
        """A model's pinned source and its fingerprint; of a step that is gone, as recorded."""
        config = self.config(model)

        def look_up() -> tuple[ModelSource, str]:
            if config.record is not None:
                kind: Literal["hub", "folder"] = "hub" if config.revision else "folder"
                return ModelSource(kind, config.id, config.revision), config.record.fingerprint
            if config.checkpoint is not None and config.checkpoint.fetched_to:
                fetch_tokenizer(config.checkpoint)
            source = find_study_model(self.study, model)
            if config.checkpoint is not None:
                return source, checkpoint_fingerprint(source, config.checkpoint)
            return source, fingerprint(source)

        answer: tuple[ModelSource, str] = self._answer(("model", model), look_up)
        return answer

    def row_identity(self, model: str) -> str:
        """A model's part of the keys of its rows: the fingerprint, marked if rows were wrong."""
        config = self.config(model)

        def look_up() -> str:
            protocol = self.protocol(model)
            if config.record is not None:
                return config.record.identity(self.protocol_key(model))
            return row_identity(*self.model(model), protocol)

        identity: str = self._answer(("row_identity", model), look_up)
        return identity

    def prompt_notes(self, model: str) -> list[str]:
        """What is done beyond a model's chat template, in sentences."""
        config = self.config(model)
        if config.record is not None:
            return list(config.record.notes)
        return notes_of_model(self.model(model)[0], model, self.protocol(model))

    def unavailable_models(self, models: Iterable[str]) -> dict[str, GradpipeError]:
        """Why models are not available now, by name; available models are left out."""
        return _errors(self._reach, list(models))

    def generator(self, role: Literal["generator", "judge"] = "generator") -> object:
        """The identity of the study's generator or judge."""
        return self._answer((role, ""), getattr(self.study, role).identity)

    def reachable_models(self, models: Sequence[str] | None = None) -> list[str]:
        """List the available ones of some models; a missing one must not stop the others."""
        chosen = [model.name for model in self.study.models] if models is None else models
        unavailable = _errors(self._reach, chosen)
        return [name for name in chosen if name not in unavailable]

    def _reach(self, model: str) -> None:
        """Raise GradpipeError if a model is unavailable; reads no weights of checkpoints.

        A checkpoint that was listed as whole is available. The weights of hundreds of new ones take
        too long to hash before the first of them is computed.
        """
        config = self.config(model)
        if config.checkpoint is None:
            self.row_identity(model)
        elif not config.checkpoint.fetched_to:
            self._resolved(config)

    def _resolved(self, config: ModelConfig) -> ModelSource:
        source: ModelSource = self._answer(
            ("resolved", config.name), lambda: resolve_model(config.location, config.revision)
        )
        return source

    def reachable_benchmarks(self) -> list[str]:
        """List the study's benchmarks whose sources are available now."""
        names = [entry.name for entry in self.study.benchmarks]
        unavailable = _errors(self.source, names)
        return [name for name in names if name not in unavailable]

    def ask_all(self, models: Iterable[str], benchmarks: Iterable[str]) -> None:
        """Look up all those sources and models in parallel; raises the first error."""
        for ask, names in ((self.source, list(benchmarks)), (self.row_identity, list(models))):
            for error in _errors(ask, names).values():
                raise error

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


def _errors(ask: Callable[[str], object], names: Sequence[str]) -> dict[str, GradpipeError]:
    """The errors of the names that fail, all tried in parallel: each hub model is a request."""

    def error_of(name: str) -> GradpipeError | None:
        try:
            ask(name)
        except GradpipeError as error:
            return error
        return None

    with ThreadPoolExecutor(8) as pool:
        found = zip(names, pool.map(error_of, names), strict=True)
        return {name: error for name, error in found if error is not None}
