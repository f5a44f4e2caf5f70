"""The help pages of all commands, kept in a snapshot, 80 columns wide as click prints them."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

import gradpipe.cli.rank
from gradpipe.cli import main


def paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command and group of commands."""
    yield path
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from paths(below, (*path, name))


@pytest.mark.parametrize("path", list(paths(main)), ids=" ".join)
def test_the_help_page(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    # A new statistic changes no snapshot.
    monkeypatch.setattr(gradpipe.cli.rank, "statistic_names", lambda: ["first", "second"])
    result = CliRunner().invoke(
        main, [*path, "--help"], prog_name="gradpipe", terminal_width=80, color=False
    )
    assert result.exit_code == 0
    assert result.stdout.splitlines() == snapshot
