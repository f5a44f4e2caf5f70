"""Strange surroundings: clocks, locales, homes, paths and umasks. A run works, or says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gradpipe.studies.load import study_yaml
from tests.conftest import study_of
from tests.faults.conftest import Bench, Disk, assert_a_clear_stop
from tests.faults.runs import Ended

STRANGE = "wörk [1] {a} %25 ✓"


@pytest.fixture(scope="session")
def commas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a German locale, compiled for the purpose."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no locale can be made here: {error}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


def strange(bench: Bench, folder: Path, **more: Any) -> Ended:
    """A run on a new workspace whose path, like its study's, is full of signs."""
    place = folder / STRANGE
    place.mkdir()
    study = place / "stüdy [x].yaml"
    study.write_text(bench.study.read_text("utf-8"), "utf-8")
    other = Bench(place, study, bench.environment, bench.whole, bench.tables)
    return other.finish(place / "wörk space", notes=folder / "notes", **more)


def test_signs_in_paths_decimal_commas_and_a_clock_that_goes_backwards_change_nothing(
    bench: Bench, tmp_path: Path, commas: dict[str, str]
) -> None:
    strange(bench, tmp_path, environment=commas, change="commas clock-backwards umask-077")


@pytest.mark.slow
@pytest.mark.parametrize("change", ["", "commas", "clock-backwards"])
def test_each_of_them_alone_changes_nothing(
    bench: Bench, tmp_path: Path, commas: dict[str, str], change: str
) -> None:
    strange(bench, tmp_path, environment=commas if change == "commas" else {}, change=change)


def open_to_others(folder: Path) -> list[str]:
    """What others than the owner may do something with, below a folder."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.stat().st_mode & 0o077
    )


@pytest.mark.slow
def test_files_are_as_open_as_the_users_umask_says(bench: Bench, tmp_path: Path) -> None:
    shut, wide = tmp_path / "shut", tmp_path / "wide"
    caches = [{"XDG_CACHE_HOME": str(tmp_path / f"cache-{name}")} for name in ("shut", "wide")]
    bench.finish(shut, notes=tmp_path / "notes", change="umask-077", environment=caches[0])
    assert open_to_others(shut) == []
    assert open_to_others(tmp_path / "cache-shut") == []
    bench.finish(wide, notes=tmp_path / "notes", change="umask-000", environment=caches[1])
    for path in [*wide.rglob("*.parquet"), wide / "study.yaml", wide / "report" / "index.html"]:
        assert path.stat().st_mode & 0o777 == 0o666, path


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_not_needed(
    bench: Bench, disk: Disk, workspace: Path, tmp_path: Path
) -> None:
    (disk.folder / ".cache").mkdir()
    disk.mount("ro")
    home = {"HOME": str(disk.folder), "XDG_CACHE_HOME": "", "XDG_DATA_HOME": ""}
    bench.finish(workspace, notes=tmp_path / "notes", environment=home)


@pytest.mark.slow
def test_another_users_home_is_not_needed(bench: Bench, workspace: Path, tmp_path: Path) -> None:
    home = tmp_path / "theirs"
    home.mkdir()
    if os.getuid() == 0:
        os.chown(home, 65534, 65534)
    else:
        home.chmod(0o555)
    bench.finish(
        workspace,
        notes=tmp_path / "notes",
        environment={"HOME": str(home), "XDG_CACHE_HOME": "", "XDG_DATA_HOME": ""},
        change="no-privileges",
    )
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_no_home_at_all_works_or_is_said_to_be_missing(
    bench: Bench, workspace: Path, tmp_path: Path
) -> None:
    before = set(Path.cwd().iterdir())
    ended = bench.begin(workspace, notes=tmp_path / "notes", change="no-home").end()
    if ended.code:
        assert_a_clear_stop(ended, "XDG_CACHE_HOME")
    else:
        bench.assert_whole(workspace)
    assert set(Path.cwd().iterdir()) == before, "a folder named ~ was made"


@pytest.fixture
def ascii_only(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python takes files and terminals to know ASCII only."""
    others = {name: value for name, value in os.environ.items() if name[:3] != "LC_"}
    return others | {
        "LANG": "C",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "GRADPIPE_HOME": str(tmp_path / "workspace"),
        "DAGSTER_HOME": "",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def command(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "gradpipe.cli", *words]
    done = subprocess.run(line, env=environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done


def texts_of_every_script(model: Path, data: Path, study: Path) -> None:
    """A study of texts that are no ASCII, and of a benchmark whose name is none."""
    rows = [
        {"instruction": "Сколько будет 1+1? 🙂", "none": "二"},
        {"instruction": "ما هو اسمك؟", "none": "é" * 9},
    ]
    data.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    mine = {"name": "mäin ✓", "source": "files", "path": str(data)}
    made = study_of(model, benchmarks=[mine], relevances=["correct"], sample=None)
    study.write_text(study_yaml(made), "utf-8")


@pytest.mark.slow
def test_texts_of_every_script_pass_where_only_ascii_is_known(
    ascii_only: dict[str, str], small_model: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    texts_of_every_script(small_model, tmp_path / "data.jsonl", study)
    for words in (["run", "--study", str(study), "--json"], ["status"]):
        done = command(ascii_only, *words)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    page = (tmp_path / "workspace" / "report" / "index.html").read_text("utf-8")
    assert "mäin ✓" in page


@pytest.mark.slow
def test_a_path_that_cannot_be_said_where_only_ascii_is_known_is_refused(
    ascii_only: dict[str, str], small_model: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    texts_of_every_script(small_model, tmp_path / "dåta.jsonl", study)
    done = command(ascii_only, "run", "--study", str(study))
    assert done.returncode == 2
    assert done.stderr.startswith(b"gradpipe: In the study ")
