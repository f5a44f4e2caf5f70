"""`gradpipe doctor`: it says what is wrong and changes nothing, unless it is told to repair."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants
from polars.testing import assert_frame_equal

from gradpipe.cli import main
from storage.workspace import Workspace
from tests.conftest import FirstRun

SUBJECTS = {
    "device",
    "memory",
    "disk",
    "versions",
    "environment",
    "hub",
    "study",
    "workspace",
}
SECRET = "sk-swordfish0123456789abcdef"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, no_images: None) -> None:
    """No hub is asked, and no picture is drawn."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def done(first_run: FirstRun, home: Path) -> Workspace:
    """A copy of a finished workspace as the current one."""
    shutil.copytree(first_run.workspace, home)
    return Workspace.current()


def doctor(*words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words], catch_exceptions=False)


def faults(result: Result) -> list[dict[str, str]]:
    said = json.loads(result.stdout.splitlines()[-1])
    assert said["well"] == (not [each for each in said["findings"] if each["state"] == "fault"])
    return [each for each in said["findings"] if each["state"] == "fault"]


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_without_a_workspace_nothing_is_created_and_nothing_is_wrong(
    home: Path, tmp_path: Path
) -> None:
    result = doctor("--json")
    assert result.exit_code == 0, result.output
    assert faults(result) == []
    found = json.loads(result.stdout)["findings"]
    assert {each["subject"] for each in found} == SUBJECTS
    assert list(tmp_path.iterdir()) == []


def test_a_finished_workspace_has_no_faults_and_stays_unchanged(
    done: Workspace, home: Path
) -> None:
    before = files_in(home)
    result = doctor()
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines() if line.startswith(" ")]
    states = {words[1]: words[0] for words in lines}
    assert states["HF_HUB_OFFLINE"] == "warning"
    assert set(states.values()) == {"ok", "warning"}
    assert str(home) in result.stdout
    assert files_in(home) == before


def test_damage_is_reported_with_its_fix_and_not_moved(done: Workspace, home: Path) -> None:
    part = Path(str(done.spectra("small", "mini_maths").parts()[0]))
    flip(part)
    before = files_in(home)
    result = doctor("--json")
    assert result.exit_code == 1
    (fault,) = faults(result)
    assert (fault["subject"], str(part) in fault["found"]) == ("workspace", True)
    assert "doctor --repair" in fault["cure"]
    assert files_in(home) == before


@pytest.mark.usefixtures("plain_report")
def test_a_repair_moves_damaged_files_aside_and_recomputes_only_their_contents(
    done: Workspace,
) -> None:
    store = done.spectra("small", "mini_maths")
    rows = store.scan().sort("key").drop("seconds").collect()
    statistics = done.statistics("small", "mini_maths").read()
    held = pl.read_parquet(str(store.parts()[0])).height
    flip(Path(str(store.parts()[0])))
    done.responses("mini_obscure").path.write_bytes(b"PAR1")
    result = doctor("--repair", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert len(said["repaired"]) == len(said["set_aside"]) == 2
    assert all(Path(place).is_file() for place in said["set_aside"])
    assert said["stages"]["gradient_spectra"]["computed"] == held
    assert said["stages"]["responses"]["computed"] > 0
    again = done.spectra("small", "mini_maths").scan().sort("key").drop("seconds").collect()
    assert_frame_equal(again, rows, check_column_order=False)
    assert_frame_equal(done.statistics("small", "mini_maths").read(), statistics)
    assert doctor().exit_code == 0


@pytest.mark.usefixtures("plain_report")
def test_a_repair_leaves_intact_benchmarks_alone(done: Workspace) -> None:
    flip(Path(str(done.spectra("small", "mini_maths").parts()[0])))
    # Out of date, and no matter of the repair.
    done.items("mini_obscure").path.unlink()
    result = doctor("--repair", "--json")
    said = json.loads(result.stdout.splitlines()[-1])
    assert said["stages"]["benchmark_items"]["computed"] == 0
    assert not done.items("mini_obscure").path.is_file()


def test_a_repair_restores_intact_files_that_were_moved_aside(done: Workspace) -> None:
    part = Path(str(done.spectra("small", "mini_maths").parts()[0]))
    aside = part.rename(part.with_name(f"{part.name}.0123abcd.aside"))
    assert doctor().exit_code == 1
    result = doctor("--repair", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said["repaired"], "stages" in said) == ([], False)
    assert str(part) in result.stderr
    assert part.is_file()
    assert not aside.exists()


def test_a_repair_with_nothing_to_do_computes_nothing(done: Workspace) -> None:
    result = doctor("--repair", "--json")
    said = json.loads(result.stdout.splitlines()[-1])
    assert (said["repaired"], said["set_aside"], "stages" in said) == ([], [], False)


@pytest.mark.usefixtures("plain_report")
def test_a_repair_is_printed_as_text_too(done: Workspace) -> None:
    done.statistics("small", "mini_maths").path.write_bytes(b"")
    result = doctor("--repair")
    assert result.exit_code == 0, result.output
    assert ".aside" in result.stderr
    assert result.stdout.rstrip().splitlines()[-1].split()[0] == "ok"


def spoil_study(home: Path) -> None:
    (home / "study.yaml").write_text("models: [")


def spoil_encoding(home: Path) -> None:
    (home / "study.yaml").write_bytes(b"\xff\xfe")


def spoil_dagster(home: Path) -> None:
    (home / "dagster" / "history" / "runs.db").write_bytes(b"no database")


def spoil_pages(home: Path) -> None:
    path = home / "dagster" / "history" / "runs.db"
    content = path.read_bytes()
    path.write_bytes(content[:2000] + bytes(len(content) - 2000))


@pytest.mark.parametrize(
    ("spoil", "subject", "words"),
    [
        (spoil_study, "study", "YAML"),
        (spoil_encoding, "study", "UTF-8"),
        (spoil_dagster, "workspace", "runs.db"),
        (spoil_pages, "workspace", "runs.db"),
    ],
)
def test_one_fault_hides_no_other(
    spoil: Callable[[Path], None], subject: str, words: str, done: Workspace, home: Path
) -> None:
    part = Path(str(done.spectra("small", "mini_maths").parts()[0]))
    flip(part)
    spoil(home)
    result = doctor("--json")
    assert result.exit_code == 1
    found = faults(result)
    assert any(each["subject"] == subject and words in each["found"] for each in found)
    assert any(str(part) in each["found"] for each in found)
    assert {each["subject"] for each in json.loads(result.stdout)["findings"]} >= SUBJECTS - {
        "study"
    }


def test_without_dagsters_instance_everything_else_is_checked(done: Workspace, home: Path) -> None:
    shutil.rmtree(home / "dagster")
    result = doctor("--json")
    assert (result.exit_code, faults(result)) == (0, [])
    assert not (home / "dagster").exists()


def test_a_check_that_fails_is_a_finding_and_does_not_stop_the_doctor(
    done: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    def broken() -> None:
        raise OSError(5, f"Input/output error at {SECRET}")

    monkeypatch.setenv("SOME_SERVICE_KEY", SECRET)
    monkeypatch.setattr(psutil, "virtual_memory", broken)
    result = doctor("--json")
    (fault,) = faults(result)
    assert fault["subject"] == "memory"
    assert SECRET not in result.output
    found = json.loads(result.stdout)["findings"]
    assert [each["state"] for each in found if each["subject"] == "workspace"] == ["ok"]


def test_a_workspace_that_is_a_file_or_an_invalid_address_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for home in (str(tmp_path / "file"), "gopher://x/y", "~nobody-at-all/x"):
        monkeypatch.setenv("GRADPIPE_HOME", home)
        result = doctor("--json")
        assert result.exit_code == 1, home
        assert faults(result), home


def test_it_works_with_a_read_only_home_and_unusual_file_names(
    done: Workspace, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = tmp_path / "ein Ordner mit ä [1]"
    home.rename(strange)
    monkeypatch.setenv("GRADPIPE_HOME", str(strange))
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere/cache")
    result = doctor("--json")
    assert result.exit_code == 1
    assert {each["subject"] for each in faults(result)} == {"disk"}
    found = [each for each in json.loads(result.stdout)["findings"] if each["state"] == "ok"]
    assert any(each["subject"] == "workspace" and str(strange) in each["found"] for each in found)


def test_databases_in_use_are_not_reported_as_damage(done: Workspace, home: Path) -> None:
    path = home / "dagster" / "history" / "runs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert doctor("--json").exit_code == 0
