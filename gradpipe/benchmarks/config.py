"""What a study says of one benchmark: where it comes from and how its columns are called."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Source = Literal["mini", "release", "flan", "files"]


class Columns(BaseModel):
    """Column names of a ``files`` benchmark.

    A null ``input``, ``answer`` or ``rationale`` means the column of that very name, where the file
    has one. ``responses`` maps a style to the column that holds it; when it is empty, every column
    named like a style (``none``, ``detailed``, ``length_100``, ...) is taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    instruction: str = "instruction"
    input: str | None = None
    answer: str | None = None
    rationale: str | None = None
    responses: dict[str, str] = Field(default_factory=dict)


class BenchmarkConfig(BaseModel):
    """One benchmark of a study.

    ``path`` is a local folder or file, or an fsspec URL; without it the source's own pinned address
    is used (``release``, ``flan``) or the packaged data (``mini``). ``sample`` and ``styles``
    narrow the study's own settings for this benchmark alone. ``checksums: false`` reads an altered
    copy of pinned files on purpose. A benchmark whose ``family`` is neither known nor given is
    ``knowledge`` when all its styles are knowledge styles, else ``commonsense``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100)
    source: Source
    path: str | None = None
    family: Literal["math", "commonsense", "knowledge"] | None = None
    columns: Columns = Columns()
    sample: int | None = Field(default=None, ge=1)
    styles: list[str] | None = None
    checksums: bool = True
