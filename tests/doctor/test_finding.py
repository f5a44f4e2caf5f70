"""One subject that cannot be looked at hides no other, and no finding tells a secret."""

from collections.abc import Iterator

import pytest

from gradpipe.doctor.finding import Finding, examine
from gradpipe.errors import WorkspaceError


def breaking(error: Exception) -> Iterator[Finding]:
    yield Finding("disk", "ok", "one")
    raise error


def test_what_was_found_before_a_look_failed_is_kept() -> None:
    found = examine("disk", lambda: breaking(ValueError("a\nb")))
    assert [each.state for each in found] == ["ok", "fault"]
    assert str(found[1]) == "cannot be looked at (ValueError: a b): mend that, and look again"


def test_an_error_of_gradpipes_own_is_told_as_it_is() -> None:
    (_, fault) = examine("disk", lambda: breaking(WorkspaceError("X is full: make room.")))
    assert str(fault) == "X is full: make room"


def test_secrets_are_taken_out_of_what_was_found_and_of_cures() -> None:
    secret = "hf_swordfish"
    found = examine(
        "hub", lambda: [Finding("hub", "fault", f"no {secret}", f"drop {secret}")], [secret, ""]
    )
    assert str(found[0]) == "no [key]: drop [key]"
    (_, fault) = examine("hub", lambda: breaking(OSError(f"401 for {secret}")), [secret])
    assert secret not in str(fault)


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), OSError(5, "Input/output")])
def test_an_error_without_words_has_a_name(error: Exception) -> None:
    assert type(error).__name__ in str(examine("x", lambda: breaking(error))[1])
