"""The parts of a row store: their names, and which of them to merge."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TypeVar
from uuid import uuid4

#: Pattern of the names of parts; their sorted order is the order of writing.
PART_PATTERN = "part-*.parquet"
#: Parts from this size on are left as they are, in bytes.
SMALL_PART = 4 << 20
#: The most bytes of small parts that are merged into one.
MERGED_PART = 64 << 20
#: Fewer adjacent small parts are not merged. A merge rewrites less than SMALL_PART of rows that
#: were merged before, which takes a fraction of a second.
FEWEST_PARTS = 8
#: The most bytes of parts whose whole rows are in memory at once; one part may be larger.
READ_AT_ONCE = 128 << 20

Part = TypeVar("Part")


def unique_part_name() -> str:
    """A file name that no other writer uses and that sorts after all earlier ones."""
    return f"part-{time.time_ns():020d}-{os.getpid()}-{uuid4().hex[:8]}.parquet"


def merged_part_name(first: str) -> str:
    """A unique name for a merged part that sorts where its first part does."""
    stem = "-".join(first.removesuffix(".parquet").split("-")[:4])
    return f"{stem}-{uuid4().hex[:8]}.parquet"


def parts_to_merge(sizes: Mapping[Part, int]) -> list[list[Part]]:
    """Groups of adjacent small parts that are worth a merge, given all parts and their bytes.

    Only adjacent parts are merged, because the first row of a key counts.
    """
    runs: list[list[Part]] = [[]]
    for part, size in sizes.items():
        if size < SMALL_PART:
            runs[-1].append(part)
        else:
            runs.append([])
    groups = [group for run in runs if len(run) >= FEWEST_PARTS for group in _split(run, sizes)]
    return [group for group in groups if len(group) > 1]


def large_parts(sizes: Mapping[Part, int]) -> list[Part]:
    """The parts that are too large to be merged."""
    return [part for part, size in sizes.items() if size >= SMALL_PART]


def _split(run: list[Part], sizes: Mapping[Part, int]) -> list[list[Part]]:
    """A run of parts in groups that are as large as a merged part may be."""
    groups: list[list[Part]] = [[]]
    total = 0
    for part in run:
        if total + sizes[part] > MERGED_PART:
            groups.append([])
            total = 0
        groups[-1].append(part)
        total += sizes[part]
    return groups


def parts_at_once(sizes: Mapping[Part, int], most: int) -> list[Part]:
    """The first of some parts, with their bytes: as many as may be in memory, at most ``most``."""
    taken: list[Part] = []
    total = 0
    for part, size in sizes.items():
        total += size
        if taken and (total > READ_AT_ONCE or len(taken) == most):
            break
        taken.append(part)
    return taken
