"""--workspace: another workspace than the one that GRADPIPE_HOME names, for a single command."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gradpipe.cli import main
from storage.workspace import Workspace

#: What uses no workspace: files in, files out, or nothing at all.
WITHOUT = {"look", "extract", "merge", "rank", "correlate", "completion", "init", "schema"}


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def commands(group: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{word} ")
        else:
            yield name + word, command


@pytest.fixture
def other(home: Path, tmp_path: Path) -> str:
    """A workspace beside the one of the environment, with a study of its own."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "study.yaml").write_text("name: other\nmodels: [m/n]\nbenchmarks: [mini_maths]\n")
    return str(folder)


def test_every_command_that_uses_a_workspace_has_the_option() -> None:
    with_option = {
        name
        for name, command in commands(main)
        if any("--workspace" in parameter.opts for parameter in command.params)
    }
    assert with_option == dict(commands(main)).keys() - WITHOUT


def test_it_takes_precedence_over_the_environment(other: str, home: Path) -> None:
    assert gradpipe("models", "list", "--workspace", other).stdout == "m/n\n"
    assert not home.exists()
    assert gradpipe("models", "list").stdout == "demo\n"


def test_it_may_be_a_url(home: Path) -> None:
    Workspace.current("memory://there/mine").keep_study(Workspace.current().study())
    result = gradpipe("report", "--workspace", "memory://there/mine")
    assert result.exit_code == 2
    assert "memory://there/mine/report/index.html" in result.stderr


@pytest.mark.parametrize("given", ["", "ftp://there/mine"])
def test_an_error_in_it_names_the_option(given: str, home: Path) -> None:
    result = gradpipe("status", "--workspace", given)
    assert result.exit_code == 2
    assert "--workspace" in result.stderr
    assert not home.exists()


def test_the_ui_is_served_on_it(other: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments: list[dict[str, str]] = []
    monkeypatch.setattr("os.chdir", lambda _: None)
    monkeypatch.setattr("os.execve", lambda _, __, variables: environments.append(variables))
    assert gradpipe("ui", "--port", "0", "--workspace", other).exit_code == 0
    assert environments[0]["GRADPIPE_HOME"] == other
    assert environments[0]["DAGSTER_HOME"] == f"{other}/dagster"
