"""Errors are transient only if they say so."""

from gradpipe.errors import DataError, GradpipeError, ModelError


def test_errors_pass_only_where_they_say_so() -> None:
    assert not GradpipeError("no").transient
    assert ModelError("later", transient=True).transient
    assert str(DataError("later", transient=True)) == "later"
