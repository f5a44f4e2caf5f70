"""A check that fails hides no other, and no finding shows a secret."""

from collections.abc import Iterator

import pytest

from gradpipe.doctor.finding import Finding, examine
from gradpipe.errors import WorkspaceError


def breaking(error: Exception) -> Iterator[Finding]:
    yield Finding("disk", "ok", "one")
    raise error


def test_findings_before_a_failure_are_kept() -> None:
    found = examine("disk", lambda: breaking(ValueError("a\nb")))
    assert [each.state for each in found] == ["ok", "fault"]
    assert "ValueError: a b" in found[1].found
    assert found[1].cure


def test_an_error_of_gradpipe_is_reported_without_its_full_stop() -> None:
    (_, fault) = examine("disk", lambda: breaking(WorkspaceError("X is full: make room.")))
    assert str(fault) == "X is full: make room"


def test_secrets_are_removed_from_findings_and_cures() -> None:
    secret = "hf_swordfish"
    found = examine(
        "hub", lambda: [Finding("hub", "fault", f"no {secret}", f"drop {secret}")], [secret, ""]
    )
    assert str(found[0]) == "no [key]: drop [key]"
    (_, fault) = examine("hub", lambda: breaking(OSError(f"401 for {secret}")), [secret])
    assert secret not in str(fault)


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), OSError(5, "Input/output")])
def test_an_error_without_a_message_is_named(error: Exception) -> None:
    assert type(error).__name__ in str(examine("x", lambda: breaking(error))[1])
