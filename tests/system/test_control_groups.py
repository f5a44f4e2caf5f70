"""The memory limit of a container is read from either version of control groups."""

from pathlib import Path

import pytest

from gradpipe.system import control_groups
from gradpipe.system.control_groups import container_memory


@pytest.mark.parametrize(
    ("limit", "usage", "expected"),
    [
        ("4096\n", "1024\n", [(4096, 1024)]),
        ("max\n", "1024\n", []),
        ("4096\n", None, []),
        (None, None, []),
    ],
)
def test_only_groups_with_a_limit_count(
    limit: str | None,
    usage: str | None,
    expected: list[tuple[int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = (tmp_path / "limit", tmp_path / "usage")
    for file, text in zip(files, (limit, usage), strict=True):
        if text is not None:
            file.write_text(text)
    monkeypatch.setattr(control_groups, "CONTROL_GROUPS", [tuple(map(str, files))])
    assert list(container_memory()) == expected
