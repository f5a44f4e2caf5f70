"""Configuration of one benchmark: where it comes from and what its columns are called."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gradpipe.errors import DataError
from gradpipe.fields import Whole

Source = Literal["mini", "release", "flan", "hub", "wikipedia", "files"]

#: Settings that only some sources read. For other sources they have no effect and are rejected.
_READ_BY: dict[str, tuple[Source, ...]] = {
    "revision": ("hub", "wikipedia"),
    "split": ("hub",),
    "line_breaks": ("flan", "hub"),
    "quotes": ("flan",),
    "wikipedia": ("wikipedia",),
}


class Columns(BaseModel):
    """Column names of a ``files`` benchmark.

    If ``input``, ``answer`` or ``rationale`` is null, the column of that name is used, if the file
    has one. ``responses`` maps a style to the column that holds it. If it is empty, every column
    named like a style (``none``, ``detailed``, ``length_100``, ...) is used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    instruction: str = Field(default="instruction", description="The column of instructions.")
    input: str | None = Field(
        default=None,
        description=(
            "The column of inputs, which are joined to the instruction; by default ``input`` "
            "if the file has it."
        ),
    )
    answer: str | None = Field(
        default=None,
        description="The column of gold answers; by default ``answer`` if the file has it.",
    )
    rationale: str | None = Field(
        default=None,
        description="The column of rationales; by default ``rationale`` if the file has it.",
    )
    responses: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "The column of each style's responses; by default every column that is named like "
            "a style."
        ),
    )


class WikipediaPages(BaseModel):
    """The pages of a ``wikipedia`` benchmark, and how much of each page is used.

    Set either ``titles`` or ``views``. ``titles`` is a list, or the path or URL of a text file with
    one title per line; all its pages are used. ``views`` is a Wikimedia page-view dump, or a table
    with the columns ``title`` and ``views``. From the views, ``popular`` selects the ``pages`` most
    viewed articles. ``unpopular`` selects the same number at random, drawn with ``seed`` from those
    viewed ``min_views`` to ``max_views`` times in the file's period.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    titles: tuple[str, ...] = Field(
        default=(),
        description="Titles of pages, or the path or URL of a text file with one title per line.",
    )
    titles_file: str | None = Field(
        default=None,
        description="Path or URL of a list of titles; ``titles: FILE`` is converted to this.",
    )
    views: str | None = Field(
        default=None,
        description=(
            "Path or URL of a Wikimedia page-view dump, or of a table with the columns "
            "``title`` and ``views``."
        ),
    )
    popularity: Literal["popular", "unpopular"] = Field(
        default="popular",
        description=(
            "Which pages of ``views``: the most viewed ones, or rarely viewed ones drawn at random."
        ),
    )
    pages: Whole = Field(
        default=500,
        ge=1,
        le=100_000,
        description="The number of pages that are taken from ``views``.",
    )
    min_views: Whole = Field(
        default=1,
        ge=0,
        description="The fewest views of an ``unpopular`` page in the file's period.",
    )
    max_views: Whole = Field(
        default=30,
        ge=0,
        description="The most views of an ``unpopular`` page in the file's period.",
    )
    seed: Whole = Field(
        default=0, ge=0, le=2**63 - 1, description="The seed of the draw of ``unpopular`` pages."
    )
    snapshot: str = Field(
        default="20231101.en",
        pattern=r"^\d{8}\.[a-z][a-z0-9-]*$",
        description="Date and language of the snapshot: the name of its folder.",
    )
    shards: Whole | None = Field(
        default=None,
        ge=1,
        le=99_999,
        description=(
            "The number of files in the snapshot; by default as many as its folder lists."
        ),
    )
    max_shards: Whole | None = Field(
        default=None,
        ge=1,
        le=99_999,
        description=(
            "Search only this many files from the start; by default all. The English snapshot "
            "is 12 GB."
        ),
    )
    article_tokens: Whole = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        description="The maximum length of an ``article``, in estimated tokens.",
    )

    @model_validator(mode="before")
    @classmethod
    def _titles_from_a_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("titles"), str):
            return {**value, "titles": (), "titles_file": value["titles"]}
        return value

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_views > self.max_views:
            raise DataError(
                f"`wikipedia` has `min_views` {self.min_views} above `max_views` "
                f"{self.max_views}: no page is between them, so raise `max_views`."
            )
        return self


class BenchmarkConfig(BaseModel):
    """One benchmark of a study.

    ``path`` is a local folder or file, or an fsspec URL. Without it, the source's own pinned
    address is used (``release``, ``flan``, ``hub``, ``wikipedia``) or the packaged data (``mini``).
    ``sample`` and ``styles`` narrow the study's settings for this benchmark only. ``checksums:
    false`` allows an altered copy of pinned files. If ``family`` is neither known nor given, it is
    ``knowledge`` when all styles are knowledge styles, else ``commonsense``.

    ``revision`` (a commit, tag or branch of the hub's repository) replaces the pinned one.
    ``line_breaks`` sets how line breaks inside instructions and rationales are written: ``source``
    keeps them unchanged, ``real`` turns a literal backslash-n into a line break, and ``escaped``
    does the reverse. ``quotes: csv`` reads FLAN's files as the paper's authors did.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        min_length=1,
        max_length=100,
        description=(
            "The benchmark's name in tables, charts and partitions; a known name implies its "
            "``source``."
        ),
    )
    source: Source = Field(
        description=(
            "Where the items come from: the packaged data, the paper's release, FLAN, the "
            "Hugging Face hub, Wikipedia or your own files."
        )
    )
    path: str | None = Field(
        default=None,
        description=(
            "A local file or folder, or an fsspec URL; by default the source's own pinned address."
        ),
    )
    family: Literal["math", "commonsense", "knowledge"] | None = Field(
        default=None,
        description=(
            "The kind of task; by default that of the known benchmark, or found by its styles."
        ),
    )
    columns: Columns = Field(
        default=Columns(), description="Names of columns, for the source ``files``."
    )
    sample: Whole | None = Field(
        default=None,
        ge=1,
        description="Items of this benchmark; by default the study's ``sample``.",
    )
    styles: list[str] | None = Field(
        default=None,
        description="Response styles of this benchmark; by default the study's ``styles``.",
    )
    checksums: bool = Field(default=True, description="Whether pinned files must be unaltered.")
    revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A commit, tag or branch of the hub's repository, instead of the pinned one.",
    )
    split: str = Field(
        default="train", min_length=1, max_length=50, description="The split of a hub data set."
    )
    line_breaks: Literal["source", "real", "escaped"] = Field(
        default="source",
        description=(
            "Line breaks inside instructions and rationales: unchanged (``source``), a "
            "literal backslash-n made a line break (``real``), or the reverse (``escaped``)."
        ),
    )
    quotes: Literal["plain", "csv"] = Field(
        default="plain",
        description="How FLAN's files are read: ``plain``, or ``csv`` as the paper's authors did.",
    )
    wikipedia: WikipediaPages = Field(
        default=WikipediaPages(), description="The pages, for the source ``wikipedia``."
    )

    @model_validator(mode="after")
    def _settings_that_are_read(self) -> Self:
        for setting, sources in _READ_BY.items():
            changed = getattr(self, setting) != type(self).model_fields[setting].default
            if changed and self.source not in sources:
                raise DataError(
                    f"the benchmark {self.name!r} sets `{setting}`, which the source "
                    f"{self.source!r} does not read: remove it, or take the source "
                    f"{' or '.join(map(repr, sources))}."
                )
        if self.path is not None and self.revision is not None:
            raise DataError(
                f"the benchmark {self.name!r} has both a `path` and a `revision`, which is one of "
                "the hub's own repository: remove one of them."
            )
        return self
