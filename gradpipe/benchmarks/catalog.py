"""The built-in benchmarks: where each comes from, its size, styles and license."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.pinned import PinnedFolder
from gradpipe.benchmarks.read import read_items
from gradpipe.benchmarks.sources.flan import COT_DATA, Flan
from gradpipe.benchmarks.sources.hub import HUB_FILES, Hub
from gradpipe.benchmarks.sources.mini import Mini
from gradpipe.benchmarks.sources.paper_release import RELEASE, RELEASE_FILES, PaperRelease
from gradpipe.benchmarks.sources.quality_release import (
    QUALITY_FILES,
    QUALITY_RELEASE,
    QualityRelease,
)
from gradpipe.errors import DataError, nearest
from gradpipe.styles import QUALITY_STYLES, STYLES

#: The licenses that the data sets' pages on the hub name.
_HUB_LICENSES = {
    "openai/gsm8k": "MIT",
    "deepmind/aqua_rat": "Apache-2.0",
    "EleutherAI/hendrycks_math": "MIT",
}
_HUB_STYLES = ("none", "simplified")


@dataclass(frozen=True)
class BuiltInBenchmark:
    """A benchmark that gradpipe knows by its ``name`` and ``source``.

    ``items`` is None if only the download tells. ``license`` is that of its origin, None if the
    origin states none. ``by_name``: a study may give only the name.
    """

    name: str
    source: str
    family: str
    styles: tuple[str, ...]
    items: int | None
    license: str | None
    origin: str
    by_name: bool


def built_in_benchmarks() -> list[BuiltInBenchmark]:
    """Every built-in benchmark, source by source; nothing is downloaded."""
    return [*_mini(), *_release(), *_quality(), *_flan(), *_hub()]


def find_built_in(name: str) -> BuiltInBenchmark:
    """The built-in benchmark that a study may give by its name alone; raises DataError."""
    by_name = {one.name: one for one in built_in_benchmarks() if one.by_name}
    if name not in by_name:
        raise DataError(f"There is no built-in benchmark {name!r}: {nearest(name, list(by_name))}")
    return by_name[name]


def _mini() -> Iterator[BuiltInBenchmark]:
    for name, family in Mini.families.items():
        items = read_items(BenchmarkConfig(name=name, source=Mini.name))
        found = {one["style"] for row in items["responses"] for one in row}
        yield BuiltInBenchmark(
            name=name,
            source=Mini.name,
            family=family,
            styles=tuple(style for style in STYLES if style in found),
            items=items.height,
            license="Apache-2.0",
            origin="gradpipe",
            by_name=True,
        )


def _release() -> Iterator[BuiltInBenchmark]:
    for name, files in RELEASE_FILES.items():
        yield BuiltInBenchmark(
            name=name,
            source=PaperRelease.name,
            family=files.family,
            styles=tuple(files.styles),
            items=RELEASE.rows(next(iter(files.files().values()))),
            license=None,
            origin=_repository(RELEASE),
            by_name=True,
        )


def _quality() -> Iterator[BuiltInBenchmark]:
    for name, files in QUALITY_FILES.items():
        yield BuiltInBenchmark(
            name=name,
            source=QualityRelease.name,
            family=files.family,
            styles=QUALITY_STYLES,
            items=QUALITY_RELEASE.rows(files.low) + QUALITY_RELEASE.rows(files.high),
            license=None,
            origin=_repository(QUALITY_RELEASE),
            by_name=True,
        )


def _flan() -> Iterator[BuiltInBenchmark]:
    for name, family in Flan.families.items():
        yield BuiltInBenchmark(
            name=name,
            source=Flan.name,
            family=family,
            styles=_HUB_STYLES,
            items=COT_DATA.rows(f"{name}_train.tsv"),
            license="Apache-2.0",
            origin=_repository(COT_DATA),
            by_name=False,
        )


def _hub() -> Iterator[BuiltInBenchmark]:
    for name, file in HUB_FILES.items():
        yield BuiltInBenchmark(
            name=name,
            source=Hub.name,
            family=Hub.families[name],
            styles=_HUB_STYLES,
            items=None,
            license=_HUB_LICENSES.get(file.repository.name),
            origin=f"hf.co/datasets/{file.repository.name}",
            by_name=False,
        )


def _repository(folder: PinnedFolder) -> str:
    """The page of the repository in an address such as github://ORG:NAME@COMMIT/FOLDER."""
    organization, _, rest = folder.address.removeprefix("github://").partition(":")
    return f"github.com/{organization}/{rest.partition('@')[0]}"
