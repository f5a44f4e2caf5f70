"""Settings of a benchmark: the ones that every source has, and the ones that several share."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from gradpipe.fields import Whole


class LaterSettings(BaseModel):
    """Settings of which those in ``later`` were added in a later version.

    They are written only if they are set, so that what was made without them stays current.
    """

    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        unset = [
            name
            for name in self.later
            if name in written and getattr(self, name) == type(self).model_fields[name].default
        ]
        return {name: value for name, value in written.items() if name not in unset}


def _column(of: str) -> Any:
    return Field(default=None, description=f"The column of {of}; by default by its name.")


class ColumnNames(LaterSettings):
    """Column names of a ``files`` or ``hub`` benchmark.

    If ``input``, ``answer`` or ``rationale`` is null, the column of that name is used, if the file
    has one and it has no other role. ``responses`` maps a style to the column that holds it. If it
    is empty, every column named like a style (``none``, ``detailed``, ``length_100``, ...) is used.

    Without such a column, the columns are those of a format of training data, found by their names:
    ``messages``, ``prompt`` and ``completion``, ``chosen`` and ``rejected``, ... The settings from
    ``output`` on name columns that are called otherwise.

    ``style`` names the column of the styles of a table with one row per response.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    later = (
        *("output", "messages", "conversations", "prompt", "completion", "response", "chosen"),
        *("rejected", "question", "problem", "solution", "text", "system", "tools"),
        *("chat_template_kwargs", "style"),
    )

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
    output: str | None = _column("outputs, one per instruction")
    messages: str | None = _column("conversations, as lists of ``role`` and ``content``")
    conversations: str | None = _column("conversations, as lists of ``from`` and ``value``")
    prompt: str | None = _column("prompts, as texts or messages")
    completion: str | None = _column("completions, as texts or messages")
    response: str | None = _column("responses to prompts")
    chosen: str | None = _column("preferred responses")
    rejected: str | None = _column("rejected responses")
    question: str | None = _column("questions, whose answers are the responses")
    problem: str | None = _column("problems")
    solution: str | None = _column("solutions of problems")
    text: str | None = _column("whole texts")
    system: str | None = _column("system messages")
    tools: str | None = _column("lists of tools")
    chat_template_kwargs: str | None = _column("settings of the chat template")
    style: str | None = Field(
        default=None,
        description=(
            "The column of each row's style, in a table with one row per response, which the "
            "column ``response`` holds, or ``output``."
        ),
    )

    def roles(self) -> dict[str, str]:
        """The columns that the user named for a format of training data, by their roles."""
        roles = [role for role in self.later if role != "style"]
        return {role: column for role in roles if (column := getattr(self, role)) is not None}


class BenchmarkSettings(LaterSettings):
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
    family: Literal["math", "commonsense", "knowledge", "instruction"] | None = Field(
        default=None,
        description=(
            "The kind of task; by default that of the known benchmark, or found by its styles."
        ),
    )
    columns: ColumnNames = Field(
        default=ColumnNames(),
        description="Names of columns, for the sources ``files`` and ``hub``.",
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

    #: The columns of the study's own styles that are wanted of this benchmark, by style.
    _own_styles: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def own_styles(self) -> dict[str, str]:
        """The columns of the study's own styles that the benchmark has, by style."""
        return self._own_styles

    def with_own_styles(self, columns: Mapping[str, str]) -> Self:
        """The settings with the columns of a study's own styles, by style."""
        changed = self.model_copy()
        changed._own_styles = dict(columns)
        return changed


class LineBreakSettings(BenchmarkSettings):
    """The setting of a source whose texts contain line breaks."""

    line_breaks: Literal["source", "real", "escaped"] = Field(
        default="source",
        description=(
            "Line breaks inside instructions and rationales: unchanged (``source``), a "
            "literal backslash-n made a line break (``real``), or the reverse (``escaped``)."
        ),
    )


class TableSettings(BenchmarkSettings):
    """The setting of a source whose tables may have any format of training data."""

    response_template: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The text after which the response begins, in data of whole texts.",
    )
