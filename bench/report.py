"""The output of a run: tables on the terminal, a JSON file, and a Markdown file."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from bench.machine import describe_machine, machine_sentence
from bench.parts import Part
from bench.settings import Settings
from bench.tables import goal_line, markdown_table, terminal_table
from gradpipe.errors import DataError
from gradpipe.system.atomic_files import written_aside

#: Characters per line if the output is not a terminal.
WIDTH = 160


class Report:
    """Print each finished part, and keep ``out`` (JSON) and its Markdown file up to date.

    Raises DataError before anything is measured if ``out`` cannot be written.
    """

    def __init__(self, out: Path, settings: Settings) -> None:
        from rich.console import Console

        self._out = out
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = WIDTH
        self._results: dict[str, Any] = {
            "machine": describe_machine(),
            "settings": settings.as_json(),
            "parts": {},
        }
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=out.parent):
                pass
        except OSError as error:
            raise DataError(
                f"{out} cannot be written ({error.strerror}): choose another --out."
            ) from error
        self._console.print(machine_sentence(self._results["machine"]))

    def add(self, part: Part) -> None:
        """Print a part and write it."""
        result = self._results["parts"][part.name] = part.as_json()
        if result["summary"]:
            self._console.print(terminal_table(part.name, result["summary"]))
        self._console.print(part.note)
        for goal in result["goals"]:
            self._console.print("  " + goal_line(goal))
        self._write()

    def _write(self) -> None:
        texts = {
            self._out: json.dumps(self._results, indent=1, ensure_ascii=False) + "\n",
            self._out.with_suffix(".md"): markdown(self._results),
        }
        for path, text in texts.items():
            with written_aside(path) as aside:
                aside.write_text(text, "utf-8")


def markdown(results: dict[str, Any]) -> str:
    """All tables of a run, with a description of the machine."""
    blocks = [f"Measured on {machine_sentence(results['machine'])}."]
    for name, part in results["parts"].items():
        if part["summary"]:
            blocks.append(markdown_table(name, part["summary"]))
        blocks.append(part["note"])
    return "\n\n".join(blocks) + "\n"
