"""The memory limits of the container that this process may run in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

#: Files with a container's memory limit and usage, for control groups version 2 and 1.
CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def container_memory() -> Iterator[tuple[int, int]]:
    """Yield the limit and the usage, in bytes, of each control group with a memory limit.

    Version 1 has no word for "unlimited": its limit is then larger than the machine's memory.
    """
    for limit, usage in CONTROL_GROUPS:
        try:
            yield int(Path(limit).read_text()), int(Path(usage).read_text())
        except (OSError, ValueError):
            # No such control group, or one without a limit ("max").
            continue
