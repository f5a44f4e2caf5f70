"""Opening a report: where there is a display, a browser and a person, and where there is none."""

import sys
from pathlib import Path

import click
import pytest

from gradpipe.cli.display import has_display, is_watched, open_report
from storage.workspace import Workspace


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened on a machine with a display."""
    addresses: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(click, "launch", lambda address: addresses.append(address) or 0)
    return addresses


def test_a_page_is_opened(opened: list[str], tmp_path: Path) -> None:
    open_report(Workspace(tmp_path))
    assert opened == [(tmp_path / "report" / "index.html").as_uri()]


def test_without_a_display_the_path_is_said_instead(
    opened: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    open_report(Workspace(tmp_path))
    assert opened == []
    assert str(tmp_path / "report" / "index.html") in capsys.readouterr().err


def test_without_a_browser_the_path_is_said_instead(
    opened: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(click, "launch", lambda _: 1)
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    open_report(Workspace(tmp_path))
    assert str(tmp_path / "report" / "index.html") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "variables", "seen"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, False),
        ("win32", {}, True),
    ],
)
def test_a_display_is_known_by_the_platform_and_its_variables(
    platform: str, variables: dict[str, str], seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_display() == seen


@pytest.mark.parametrize(
    ("terminal", "ci", "watched"),
    [(True, "", True), (True, "true", False), (True, "0", True), (False, "", False)],
)
def test_nobody_watches_a_pipe_or_a_ci_service(
    terminal: bool, ci: str, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert is_watched() == watched
