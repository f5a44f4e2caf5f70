"""The files that a command reads, which its output must not replace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gradpipe.benchmarks.fetch import is_remote
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.benchmarks.shards import table_locations
from gradpipe.errors import DataError
from gradpipe.standalone.data_source import DataSource


def refuse_inputs(
    out: Path, inputs: Iterable[DataSource | Path | None], *, folder: bool = False
) -> None:
    """Raise DataError if ``out`` is a local file of ``inputs``, or the ``folder`` of one."""
    for file in (file for source in inputs for file in _local_files(source)):
        if _same(out, file):
            raise DataError(
                f"{out} is read by this command, so it cannot be its output too: give another "
                "--out."
            )
        if folder and file.exists() and _same(out, file.parent):
            raise DataError(
                f"{out} holds {file.name}, which this command reads, so it cannot be its output "
                "too: give another --out."
            )


def _local_files(source: DataSource | Path | None) -> list[Path]:
    if source is None or isinstance(source, HubDataset) or is_remote(str(source)):
        return []
    # Reading it says what is wrong with it.
    with suppress(DataError, OSError, ValueError, RuntimeError):
        return [
            Path(re.sub(r"^(file|local)://", "", location)).expanduser()
            for location in table_locations(str(source))
        ]
    return []


def _same(one: Path, other: Path) -> bool:
    """Whether both exist and are the same, by whatever links."""
    with suppress(OSError, ValueError):
        return one.samefile(other)
    return False
