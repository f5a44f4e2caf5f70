"""The steps that a series has now: its checkpoints, wherever they are, and the records."""

from __future__ import annotations

from pathlib import Path

from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.checkpoints.local_folders import list_checkpoint_folders
from gradpipe.checkpoints.selection import SeriesSteps, select_steps
from gradpipe.errors import GradpipeError
from gradpipe.studies.series_config import SeriesConfig
from storage.series_records import SeriesRecords


def series_steps(entry: SeriesConfig, records: SeriesRecords) -> SeriesSteps:
    """List a series' checkpoints and choose one per step.

    A place that cannot be listed is a note, and the steps with a record stay.
    """
    try:
        listed, problem = list_checkpoints(entry, records), ""
    except GradpipeError as error:
        listed, problem = [], str(error)
    chosen = select_steps(entry.name, listed, records.of(entry.name), entry.range)
    if not problem and not listed and entry.wanted:
        kind = "checkpoint" if entry.checkpoints is not None else "revision"
        problem = (
            f"No {kind} of the series {entry.name!r} matches {entry.wanted!r} in {entry.id} yet: "
            "check the pattern, or wait for the first one."
        )
    notes = (problem, *chosen.notes) if problem else chosen.notes
    return SeriesSteps(chosen.steps, notes, chosen.pending)


def list_checkpoints(entry: SeriesConfig, records: SeriesRecords) -> list[Checkpoint]:
    """The checkpoints of a series that exist now; raises GradpipeError if they cannot be listed."""
    if entry.revisions is not None:
        # Imported here: it takes a quarter of a second, and local folders do not need it.
        from gradpipe.checkpoints.hub_revisions import checkpoints_of_revisions, list_revisions

        revisions = records.revisions(entry.name, lambda: list_revisions(entry.id))
        return checkpoints_of_revisions(entry.id, revisions, entry.wanted, entry.steps)
    return list_checkpoint_folders(Path(entry.id), entry.wanted, entry.steps)
