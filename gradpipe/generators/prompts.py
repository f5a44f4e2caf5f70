"""Prompt templates: text files, one a style, that a user can replace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Formatter

from gradpipe.errors import DataError
from gradpipe.generators.config import MAX_TOKENS
from gradpipe.system.hashing import content_hash

#: What a template may ask for of an item, in braces; a brace itself is written twice.
PLACEHOLDERS = ("instruction", "answer", "rationale")

_SECTION = re.compile(r"^\[(\w+)\][ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Template:
    """A style's prompt: its messages, by role, with placeholders for the item's texts."""

    style: str
    system: str | None
    user: str

    @property
    def hash(self) -> str:
        """A hash of the messages; remarks above the first section do not count."""
        return content_hash("prompt", self.system, self.user)

    def messages(self, item: Mapping[str, str | None]) -> list[dict[str, str]]:
        """The messages for one item, roles ``system`` (where there is one) and ``user``.

        ``item`` is a row of ITEM_SCHEMA; braces in its texts stay as they are. Raises DataError
        where the item lacks a text that the template asks for.
        """
        user = {"role": "user", "content": self._filled(self.user, item)}
        if self.system is None:
            return [user]
        return [{"role": "system", "content": self._filled(self.system, item)}, user]

    def _filled(self, text: str, item: Mapping[str, str | None]) -> str:
        parts = []
        for literal, field, _, _ in Formatter().parse(text):
            value = "" if field is None else item.get(field)
            if value is None or (field is not None and not value.strip()):
                raise DataError(
                    f"Item {item.get('item_id')} of benchmark {item.get('benchmark')!r} has no "
                    f"{field}, which the prompt for {self.style!r} asks for: add it to the data, "
                    "or give a prompt of your own without it."
                )
            parts.append(literal + value)
        return "".join(parts)


def load_template(style: str, folder: str | None = None) -> Template:
    """The template of a style: ``folder``'s own ``STYLE.txt`` where it has one, else the packaged.

    Raises DataError for a style without a prompt, a folder without templates, and a template that
    lacks a user message or has an unknown section or placeholder.
    """
    if style not in MAX_TOKENS:
        raise DataError(
            f"There is no prompt for the style {style!r}: choose from {', '.join(MAX_TOKENS)}."
        )
    own = None if folder is None else _own_file(style, folder)
    if own is None:
        packaged = resources.files("gradpipe.generators") / "prompts" / f"{style}.txt"
        return _parse(packaged.read_text("utf-8"), style, f"{style}.txt")
    try:
        text = own.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The prompt {own} cannot be read: make it a text file in UTF-8."
        ) from error
    return _parse(text, style, str(own))


def _own_file(style: str, folder: str) -> Path | None:
    place = Path(folder).expanduser()
    if not any((place / f"{known}.txt").is_file() for known in MAX_TOKENS):
        names = ", ".join(f"{known}.txt" for known in MAX_TOKENS)
        raise DataError(f"The prompts folder {folder} has no template: put one of {names} there.")
    file = place / f"{style}.txt"
    return file if file.is_file() else None


def _parse(text: str, style: str, place: str) -> Template:
    head, *pieces = _SECTION.split(text.replace("\r\n", "\n").removeprefix("\ufeff"))
    remarks = [line for line in head.splitlines() if line.strip() and not line.startswith("#")]
    names = pieces[::2]
    sections = dict(zip(names, (piece.strip() for piece in pieces[1::2]), strict=True))
    if remarks or len(names) != len(sections) or not sections.keys() <= {"system", "user"}:
        raise DataError(
            f"The prompt {place} is to have one line [system] or none, one line [user], and above "
            "them nothing but remarks that start with #: write it so."
        )
    if not sections.get("user"):
        raise DataError(f"The prompt {place} has no user message: write it below a line [user].")
    for section in sections.values():
        _check_placeholders(section, place)
    return Template(style, sections.get("system") or None, sections["user"])


def _check_placeholders(text: str, place: str) -> None:
    try:
        found = list(Formatter().parse(text))
    except ValueError as error:
        raise DataError(
            f"The prompt {place} has a single brace: write {{{{ and }}}} for braces of its own."
        ) from error
    for _, field, spec, conversion in found:
        if field is not None and (field not in PLACEHOLDERS or spec or conversion):
            raise DataError(
                f"The prompt {place} has the unknown placeholder {{{field}}}: known are "
                f"{', '.join(PLACEHOLDERS)}, and {{{{ and }}}} stand for braces."
            )
