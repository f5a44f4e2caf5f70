"""Settings of a benchmark: the ones that every source has, and the ones that several share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gradpipe.fields import Whole


class ColumnNames(BaseModel):
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


class BenchmarkSettings(BaseModel):
    """The settings that every source has; a source adds its own in a subclass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        min_length=1,
        max_length=100,
        description=(
            "The benchmark's name in tables, charts and partitions; a known name implies its "
            "``source``."
        ),
    )
    source: str = Field(
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
    columns: ColumnNames = Field(
        default=ColumnNames(), description="Names of columns, for the source ``files``."
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


class LineBreakSettings(BenchmarkSettings):
    """The setting of a source whose texts contain line breaks."""

    line_breaks: Literal["source", "real", "escaped"] = Field(
        default="source",
        description=(
            "Line breaks inside instructions and rationales: unchanged (``source``), a "
            "literal backslash-n made a line break (``real``), or the reverse (``escaped``)."
        ),
    )
