"""List the checkpoints in a local folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.checkpoints.steps import STATE_BYTES, TRAINER_STATE, read_step
from gradpipe.checkpoints.wholeness import files_stamp, is_temporary, list_files, why_pending
from gradpipe.errors import ModelError


def list_checkpoint_folders(
    folder: Path, wanted: str | Sequence[str], steps: Mapping[str, float]
) -> list[Checkpoint]:
    """List the subfolders that match a glob or are named, whole or not, sorted by name.

    A glob skips names of unfinished copies, such as ``tmp-checkpoint-100``. A listed name that does
    not exist is pending. ``steps`` are the study's steps by name. Raises ModelError if the folder
    cannot be listed; a folder that does not exist yet has no checkpoints.
    """
    names = sorted(_matching(folder, wanted) if isinstance(wanted, str) else wanted)
    return [_look_at(folder / name, name, steps) for name in names]


def _matching(folder: Path, pattern: str) -> list[str]:
    if "/" in pattern:
        found = (path.relative_to(folder).as_posix() for path in folder.glob(pattern))
        return [name for name in found if not is_temporary(Path(name).name)]
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in entries
                if fnmatchcase(entry.name, pattern)
                and not is_temporary(entry.name)
                and entry.is_dir()
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(
            f"The checkpoints in {folder} cannot be listed ({error.strerror}): check the folder."
        ) from error


def _look_at(place: Path, name: str, steps: Mapping[str, float]) -> Checkpoint:
    files = list_files(place)
    state = _start_of(place / TRAINER_STATE) if TRAINER_STATE in files else None
    return Checkpoint(
        name=name,
        place=str(place),
        step=read_step(name, steps, state),
        stamp=files_stamp(files),
        pending=why_pending(place, files) if files else "does not exist",
    )


def _start_of(file: Path) -> bytes | None:
    try:
        with file.open("rb") as opened:
            return opened.read(STATE_BYTES)
    except OSError:
        return None
