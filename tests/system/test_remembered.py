"""A remembered result is computed once per identity, and again if the file is damaged."""

from pathlib import Path

import pytest

from gradpipe.system.remembered import remembered


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return []


def ask(calls: list[int], identity: object = "one") -> object:
    """The number of calls at the time of the one that computed this result."""

    def compute() -> dict[str, int]:
        calls.append(1)
        return {"count": len(calls)}

    return remembered("counts", identity, "count", compute)


def test_a_result_is_computed_once_per_identity(calls: list[int]) -> None:
    assert [ask(calls), ask(calls), ask(calls, "two"), ask(calls)] == [1, 1, 2, 1]


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff\xfe"])
def test_garbage_is_computed_again(garbage: bytes, calls: list[int], tmp_path: Path) -> None:
    assert ask(calls) == 1
    (note,) = tmp_path.glob("gradpipe/counts/*.json")
    note.write_bytes(garbage)
    assert [ask(calls), ask(calls)] == [2, 2]


def test_a_cache_that_cannot_be_written_costs_the_shortcut_only(
    calls: list[int], tmp_path: Path
) -> None:
    (tmp_path / "gradpipe").write_text("a file where the folder would be")
    assert [ask(calls), ask(calls)] == [1, 2]
