"""Prompt templates: one text file per style, which a user can replace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any

from gradpipe.errors import DataError
from gradpipe.generators.few_shot import WorkedExample, read_examples_file
from gradpipe.generators.request_settings import RequestSettings
from gradpipe.generators.written_styles import MAX_TOKENS
from gradpipe.system.hashing import content_hash

#: The fields of an item that a template may use, in braces; a literal brace is doubled.
PLACEHOLDERS = ("instruction", "answer", "rationale")

#: The styles with a prompt of their own.
_FILES = [style for style in MAX_TOKENS if style != "answer_only"]

_SECTION = re.compile(r"^\[(\w+)\][ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Template:
    """A style's prompt: its messages by role, with placeholders for the item's texts.

    ``examples`` are shown as they are before the user's message.
    """

    style: str
    system: str | None
    user: str
    examples: tuple[WorkedExample, ...] = ()

    @property
    def hash(self) -> str:
        """A hash of the messages, without the comments above the first section."""
        shown = [example.messages() for example in self.examples]
        return content_hash("prompt", self.system, self.user, *([shown] if shown else []))

    def messages(self, item: Mapping[str, str | None]) -> list[dict[str, str]]:
        """Return the messages for one item: ``system`` (if any), the examples, and ``user``.

        ``item`` is a row of ITEM_SCHEMA; braces in its texts are kept. Raises DataError if a text
        that the template uses is missing.
        """
        messages = [message for example in self.examples for message in example.messages()]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self._filled(self.system, item)})
        return [*messages, {"role": "user", "content": self._filled(self.user, item)}]

    def _filled(self, text: str, item: Mapping[str, str | None]) -> str:
        parts = []
        for literal, field, _, _ in Formatter().parse(text):
            value = "" if field is None else item.get(field)
            if value is None or (field is not None and not value.strip()):
                raise DataError(
                    f"Item {item.get('item_id')} of benchmark {item.get('benchmark')!r} has no "
                    f"{field}, which the prompt for {self.style!r} uses: add it to the data, or "
                    "write a prompt without it."
                )
            parts.append(literal + value)
        return "".join(parts)


def load_templates(config: RequestSettings, styles: Iterable[str]) -> dict[str, Template]:
    """Return the template of each style, with the system message and examples that are set.

    Raises DataError as ``load_template``, and for a file of examples that cannot be read.
    """
    given = config.few_shot or ()
    changes: dict[str, Any] = {
        "examples": read_examples_file(given) if isinstance(given, str) else given
    }
    if config.system is not None:
        literal = config.system.strip().replace("{", "{{").replace("}", "}}")
        changes["system"] = literal or None
    return {style: replace(load_template(style, config.prompts), **changes) for style in styles}


def load_template(style: str, folder: str | None = None) -> Template:
    """Return the template of a style: ``STYLE.txt`` in ``folder`` if it exists, else the packaged.

    ``answer_only`` has the template of ``thinking``, because both are one call.

    Raises DataError for a style without a prompt, a folder without templates, and a template
    without a user message or with an unknown section or placeholder.
    """
    style = "thinking" if style == "answer_only" else style
    if style not in _FILES:
        raise DataError(
            f"There is no prompt for the style {style!r}: use one of {', '.join(_FILES)}."
        )
    own = None if folder is None else _own_file(style, folder)
    if own is None:
        packaged = resources.files("gradpipe.generators") / "prompts" / f"{style}.txt"
        return parse_template(packaged.read_text("utf-8"), style, f"{style}.txt")
    try:
        text = own.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The prompt {own} cannot be read: make it a text file in UTF-8."
        ) from error
    return parse_template(text, style, str(own))


def _own_file(style: str, folder: str) -> Path | None:
    directory = Path(folder).expanduser()
    if not any((directory / f"{known}.txt").is_file() for known in _FILES):
        names = ", ".join(f"{known}.txt" for known in _FILES)
        raise DataError(f"The prompts folder {folder} has no template: add one of {names}.")
    file = directory / f"{style}.txt"
    return file if file.is_file() else None


def parse_template(
    text: str, style: str, place: str, placeholders: Sequence[str] = PLACEHOLDERS
) -> Template:
    """Parse the template at ``place``, which may use ``placeholders``; raises DataError."""
    head, *pieces = _SECTION.split(text.replace("\r\n", "\n").removeprefix("\ufeff"))
    stray_lines = [line for line in head.splitlines() if line.strip() and not line.startswith("#")]
    names = pieces[::2]
    sections = dict(zip(names, (piece.strip() for piece in pieces[1::2]), strict=True))
    if stray_lines or len(names) != len(sections) or not sections.keys() <= {"system", "user"}:
        raise DataError(
            f"The prompt {place} is invalid: it needs one line [user], may have one line [system], "
            "and above them only comments that start with #."
        )
    if not sections.get("user"):
        raise DataError(f"The prompt {place} has no user message: add it below a line [user].")
    for section in sections.values():
        _check_placeholders(section, place, placeholders)
    return Template(style, sections.get("system") or None, sections["user"])


def _check_placeholders(text: str, place: str, placeholders: Sequence[str]) -> None:
    try:
        fields = list(Formatter().parse(text))
    except ValueError as error:
        raise DataError(
            f"The prompt {place} has a single brace: write {{{{ and }}}} for literal braces."
        ) from error
    for _, field, spec, conversion in fields:
        if field is not None and (field not in placeholders or spec or conversion):
            raise DataError(
                f"The prompt {place} has the unknown placeholder {{{field}}}: use "
                f"{', '.join(placeholders)}, or {{{{ and }}}} for literal braces."
            )
