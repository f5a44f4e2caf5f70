"""The data of ``gradpipe init``: looked at, described, and asked about where a person is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradpipe.cli.study_questions import ask_for_text
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.new_study.data_entry import DataEntry, HubRows
    from gradpipe.studies.study_styles import StudyStyles

#: Free columns that a question or a hint names.
_MOST_NAMED = 8


@dataclass
class NewStudyData:
    """Finds the data that a user names for a study in ``folder``, and says what they hold.

    ``columns`` and ``hub`` are for data that are not built in if ``own``. ``styles`` are the
    columns that the user compares; a person who is ``asking`` nothing about them is asked once.
    """

    folder: Path
    columns: dict[str, str] | None
    hub: HubRows
    own: bool
    asking: bool
    styles: StudyStyles | None = None

    def find(self, text: str, columns: dict[str, str] | None = None) -> DataEntry:
        """The benchmark of the data; raises DataError if they cannot be used."""
        columns = columns or self.columns
        entry = self._look(text, columns)
        click.echo(f"  {entry.name}: {entry.sentence()}", err=True)
        if entry.free and self.styles is None:
            free = ", ".join(entry.free[:_MOST_NAMED])
            if not self.asking:
                click.echo(
                    f"  Not used: {free}. `--styles` compares such columns as response styles.",
                    err=True,
                )
            elif self._ask_for_styles(free):
                entry = self._look(text, columns)
                click.echo(f"  {entry.name}: {entry.sentence()}", err=True)
        return entry

    def _look(self, text: str, columns: dict[str, str] | None) -> DataEntry:
        from gradpipe.studies.new_study.data_entry import find_data_entry, is_built_in

        if self.own and is_built_in(text):
            return find_data_entry(text, self.folder)
        return find_data_entry(text, self.folder, columns=columns, hub=self.hub, styles=self.styles)

    def _ask_for_styles(self, free: str) -> bool:
        """Ask which columns to compare, until the answer is right or empty; whether it has any."""
        from gradpipe.studies.new_study.own_styles import styles_of_columns

        while answer := ask_for_text(f"  Columns to compare as styles (of {free}), or Enter"):
            try:
                self.styles = styles_of_columns(answer)
            except GradpipeError as error:
                click.echo(f"  {error}", err=True)
            else:
                return True
        return False
