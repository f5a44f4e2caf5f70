"""Worked examples that precede an item's question: pairs in the study, or a JSONL file."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gradpipe.errors import DataError
from gradpipe.untrusted.files import read_regular

#: The largest file of examples, in bytes: they precede every question.
LARGEST_EXAMPLES_FILE = 4_000_000


class WorkedExample(BaseModel):
    """A question and its answer, as messages of the user and of the assistant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(min_length=1, description="The question.")
    assistant: str = Field(min_length=1, description="The answer to it.")

    def messages(self) -> list[dict[str, str]]:
        """The two messages."""
        return [
            {"role": "user", "content": self.user},
            {"role": "assistant", "content": self.assistant},
        ]


def read_examples_file(path: str) -> tuple[WorkedExample, ...]:
    """Read one {"user": ..., "assistant": ...} per line; raises DataError, with the line."""
    try:
        text = read_regular(Path(path).expanduser(), LARGEST_EXAMPLES_FILE).decode("utf-8-sig")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(
            f"The examples {path} of `few_shot` cannot be read ({reason}): name a JSONL file."
        ) from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"The examples {path} of `few_shot` are empty: add a line, or remove it.")
    return tuple(_example(line, number, path) for number, line in lines)


def _example(line: str, number: int, path: str) -> WorkedExample:
    try:
        return WorkedExample.model_validate(json.loads(line))
    except (ValueError, ValidationError, RecursionError) as error:
        raise DataError(
            f"Line {number} of the examples {path} of `few_shot` is invalid: write one object per "
            'line, {"user": "...", "assistant": "..."}.'
        ) from error
