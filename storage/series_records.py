"""What a workspace keeps of its series: a record per computed step, and the hub's revisions.

Training deletes old checkpoints. The record keeps their fingerprints, so that their rows stay
valid and in the report. Each step has a file of its own: any number of runs may write at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from gradpipe.checkpoints.checkpoint import StepRecord, step_label
from gradpipe.errors import ModelError
from storage.concurrency import map_concurrently
from storage.locations import filesystem_of
from storage.names import slug

if TYPE_CHECKING:
    from storage.filesystem import Location

#: Seconds for which a hub model's list of revisions is used again.
REVISIONS_AGE = 300.0
_REVISIONS, _RECORD = "revisions.json", "step-{}.json"


class SeriesRecords:
    """The records of all series of a workspace, in one folder."""

    def __init__(self, folder: Location) -> None:
        self.folder = folder
        self._files = filesystem_of(folder)

    def of(self, series: str) -> list[StepRecord]:
        """The records of a series; unreadable ones count as missing."""
        files = self._files.sizes(self.folder / slug(series), _RECORD.format("*"))
        contents = map_concurrently(self._files.read, files)
        return [record for content in contents if (record := _record(content)) is not None]

    def keep(self, series: str, record: StepRecord) -> None:
        """Write a step's record; identities under other protocols of the same weights are kept."""
        place = self.folder / slug(series) / _RECORD.format(slug(step_label(record.step)))
        earlier = _record(self._files.read(place))
        if earlier is not None and earlier.fingerprint == record.fingerprint:
            identities = {**earlier.identities, **record.identities}
            record = replace(record, identities=identities)
        if record != earlier:
            self._files.write(place, json.dumps(asdict(record)).encode("utf-8"))

    def delete(self, series: str, step: float | None = None) -> None:
        """Delete the record of a step, or everything that is known of a series."""
        folder = self.folder / slug(series)
        one = _RECORD.format(slug(step_label(step))) if step is not None else ""
        self._files.delete(folder / one if one else folder)

    def revisions(self, series: str, list_now: Callable[[], dict[str, str]]) -> dict[str, str]:
        """The commits of a hub model's revisions, by name, listed at most REVISIONS_AGE ago.

        If the hub cannot be reached, what was known stays. Raises ModelError if nothing is known.
        """
        place = self.folder / slug(series) / _REVISIONS
        known = _json(self._files.read(place))
        if time.time() - float(known.get("time", 0)) > REVISIONS_AGE:
            try:
                known = {"revisions": list_now()}
            except ModelError as error:
                # Asking again at once would wait for the same timeout.
                known = {"revisions": known.get("revisions", {}), "error": str(error)}
            known["time"] = time.time()
            self._files.write(place, json.dumps(known).encode("utf-8"))
        revisions: dict[str, str] = known.get("revisions", {})
        if not revisions and "error" in known:
            raise ModelError(known["error"], transient=True)
        return revisions


def _record(content: bytes | None) -> StepRecord | None:
    try:
        fields = _json(content)
        return StepRecord(**{**fields, "notes": tuple(fields["notes"])}) if fields else None
    except (TypeError, KeyError):
        return None


def _json(content: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
