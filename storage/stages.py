"""What each stage of the pipeline keeps in a workspace: its partitions and its files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from gradpipe.errors import WorkspaceError
from gradpipe.generators.calls import CALL_SCHEMA
from storage.names import slug, unslug
from storage.tables import Table
from storage.workspace import CONTEXT, SPECTRA_SCHEMA

if TYPE_CHECKING:
    import polars as pl

    from storage.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition of a stage; ``model`` or ``benchmark`` is empty if the stage has no such."""

    model: str = ""
    benchmark: str = ""

    @property
    def label(self) -> str:
        """The partition as a person reads it: ``model × benchmark``."""
        return " × ".join(filter(None, (self.model, self.benchmark)))


@dataclass(frozen=True, kw_only=True, eq=False)
class StageFiles:
    """The files that a stage keeps, as patterns of paths relative to the workspace.

    A pattern may contain ``{model}``, ``{benchmark}`` and ``{generator}`` (a name, as a file name)
    and ``*``. The stage is current if ``table`` is. ``companions`` are tables that are written
    with it, ``parts`` the files of row stores with their schema. Each of ``outputs`` has to exist
    for the stage to be complete. ``table`` may come without ``optional`` columns.
    """

    name: str
    partitioned_by: tuple[Literal["model", "benchmark"], ...] = ()
    table: str
    companions: tuple[str, ...] = ()
    parts: Mapping[str, pl.Schema] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    optional: pl.Schema | None = None

    def partitions(self, models: Sequence[str], benchmarks: Sequence[str]) -> Iterator[Partition]:
        """Every partition over those models and benchmarks, model by model."""
        for model in models if "model" in self.partitioned_by else [""]:
            for benchmark in benchmarks if "benchmark" in self.partitioned_by else [""]:
                yield Partition(model=model, benchmark=benchmark)

    def partition_of(self, partition: Partition) -> Partition:
        """The partition of this stage that belongs to a partition of a later stage."""
        return Partition(**{name: getattr(partition, name) for name in self.partitioned_by})

    def table_of(self, workspace: Workspace, partition: Partition) -> Table:
        """The table of one partition."""
        path = self.table.format(
            model=slug(partition.model) if partition.model else "",
            benchmark=slug(partition.benchmark) if partition.benchmark else "",
        )
        return Table(workspace.root.joinpath(*path.split("/")), self.optional)

    def bytes_of(self, workspace: Workspace, partition: Partition) -> int:
        """The size of one partition's files, without the calls that benchmarks share."""
        names = {name: slug(getattr(partition, name)) for name in self.partitioned_by}
        total = 0
        for pattern in (self.table, *self.companions, *self.parts, *self.outputs):
            if "{generator}" not in pattern:
                *folder, name = pattern.format(**names).split("/")
                total += sum(workspace.files.sizes(workspace.root.joinpath(*folder), name).values())
        return total

    def is_complete(self, workspace: Workspace) -> bool:
        """Whether all files of ``outputs`` exist."""
        return all(workspace.root.joinpath(*path.split("/")).is_file() for path in self.outputs)

    def match(self, path: str) -> StoredFile | None:
        """Describe a file by its path in the workspace, or return None if it is not this stage's.

        ``path`` has forward slashes.
        """
        for pattern, schema in self._patterns:
            if (match := pattern.fullmatch(path)) is not None:
                try:
                    names = {key: unslug(text) for key, text in match.groupdict().items()}
                except WorkspaceError:
                    return None
                names.pop("generator", None)
                return StoredFile(stage=self.name, partition=Partition(**names), schema=schema)
        return None

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], pl.Schema | None]]:
        tables = dict.fromkeys((self.table, *self.companions))
        return [(_regex(path), schema) for path, schema in {**tables, **self.parts}.items()]


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """What a file of the workspace holds; ``schema`` is that of a part of a row store."""

    stage: str
    partition: Partition
    schema: pl.Schema | None


def _regex(pattern: str) -> re.Pattern[str]:
    """A path pattern as a regular expression: names and ``*`` match within one folder."""
    escaped = re.escape(pattern).replace(r"\*", "[^/]*")
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", escaped))


ITEMS_FILES = StageFiles(
    name="benchmark_items",
    partitioned_by=("benchmark",),
    table="benchmark_items/{benchmark}.parquet",
    optional=CONTEXT,
)
RESPONSES_FILES = StageFiles(
    name="responses",
    partitioned_by=("benchmark",),
    table="responses/{benchmark}.parquet",
    companions=("response_quality/{benchmark}.parquet",),
    parts={"generations/{generator}/part-*.parquet": CALL_SCHEMA},
    optional=CONTEXT,
)
SPECTRA_FILES = StageFiles(
    name="gradient_spectra",
    partitioned_by=("model", "benchmark"),
    table="gradient_spectra/{model}/{benchmark}/index.parquet",
    parts={"gradient_spectra/{model}/{benchmark}/rows/part-*.parquet": SPECTRA_SCHEMA},
    optional=CONTEXT,
)
STATISTICS_FILES = StageFiles(
    name="spectral_statistics",
    partitioned_by=("model", "benchmark"),
    table="spectral_statistics/{model}/{benchmark}.parquet",
    companions=(
        "gradient_alignments/{model}/{benchmark}.parquet",
        "example_sets/{model}/{benchmark}.parquet",
    ),
)
REPORT_FILES = StageFiles(
    name="report", table="report_notes.parquet", outputs=("report/index.html",)
)

#: The files of every stage, in the order of the pipeline.
STAGE_FILES = (ITEMS_FILES, RESPONSES_FILES, SPECTRA_FILES, STATISTICS_FILES, REPORT_FILES)
