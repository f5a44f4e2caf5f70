"""Names for the entries of a new study of which several would have the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar

from gradpipe.studies.new_study.data_entry import DataEntry
from gradpipe.studies.new_study.model_entry import ModelChoice

Entry = TypeVar("Entry", DataEntry, ModelChoice)


def with_distinct_names(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of which each has a name of its own: ``pairs`` and ``pairs-2``.

    Built-in ones keep theirs. The same entry twice stays, which is a mistake of the user.
    """
    names = {entry.name for entry in entries}
    taken = {entry.name for entry in entries if isinstance(entry.setting, str)}
    distinct: list[Entry] = []
    for place, entry in enumerate(entries):
        name, setting = entry.name, entry.setting
        repeated = any(setting == earlier.setting for earlier in entries[:place])
        if isinstance(setting, dict) and name in taken and not repeated:
            numbered = (f"{entry.name}-{number}" for number in count(2))
            name = next(candidate for candidate in numbered if candidate not in names)
            names.add(name)
            setting = {**setting, "name": name}
        taken.add(name)
        distinct.append(replace(entry, name=name, setting=setting))
    return distinct
