"""Settings of the source ``wikipedia``: which pages are read, and how much of each."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gradpipe.benchmarks.repository import RepositorySettings
from gradpipe.errors import DataError
from gradpipe.fields import Whole


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


class WikipediaSettings(RepositorySettings):
    """The settings of a benchmark of Wikipedia pages."""

    wikipedia: WikipediaPages = Field(
        default=WikipediaPages(), description="The pages, for the source ``wikipedia``."
    )
