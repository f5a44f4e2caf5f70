"""`gradpipe benchmarks`: list, add and remove."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradpipe.cli import main
from gradpipe.studies.load import load_study
from storage.workspace import Workspace


def benchmarks(*words: str) -> Result:
    return CliRunner().invoke(main, ["benchmarks", *words], catch_exceptions=False)


@pytest.fixture
def pairs(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "pairs.csv"
    file.write_text("question,none,detailed\nWhat?,That.,That one there.\n")
    monkeypatch.chdir(tmp_path)
    return file


def test_the_list_has_every_benchmark_with_its_styles_and_license(home: Path) -> None:
    listed = benchmarks("list")
    assert listed.exit_code == 0
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()[1:]}
    assert "none, simplified, detailed" in rows["mini_maths"]
    assert "Apache-2.0" in rows["mini_maths"]
    assert "7,473" in listed.stdout
    assert not home.exists()


def test_own_data_become_a_benchmark_of_the_workspaces_study(pairs: Path, home: Path) -> None:
    added = benchmarks("add", "pairs.csv", "--name", "mine")
    assert added.exit_code == 0, added.output
    assert "none, detailed" in added.stdout
    entry = Workspace(home).study().benchmark("mine")
    assert (entry.path, entry.columns.instruction) == (str(pairs), "question")
    assert "mine" in benchmarks("list").stdout.splitlines()[-1]
    assert benchmarks("remove", "mine").exit_code == 0
    assert "mine" not in [one.name for one in Workspace(home).study().benchmarks]


def test_a_study_file_keeps_its_comments(pairs: Path, home: Path) -> None:
    text = "# My study\nmodels: [demo]  # small\nbenchmarks:\n  - mini_maths  # first\nseed: 1\n"
    Path("mine.yaml").write_text(text)
    added = benchmarks("add", "pairs.csv", "--study", "mine.yaml")
    assert added.exit_code == 0, added.output
    lines = Path("mine.yaml").read_text().splitlines()
    assert [line for line in lines if "pairs" not in line] == text.splitlines()
    assert load_study("mine.yaml").benchmark("pairs").path == str(pairs)
    again = benchmarks("add", "pairs.csv", "--study", "mine.yaml")
    assert again.exit_code == 2
    assert "pairs twice" in again.stderr
    assert Path("mine.yaml").read_text().splitlines() == lines
    assert not home.exists()


@pytest.mark.usefixtures("pairs")
def test_a_study_file_keeps_its_line_ends_and_its_link() -> None:
    text = b"models: [demo]\r\nbenchmarks:\r\n  - mini_maths\r\nseed: 1\r\n"
    Path("real").mkdir()
    Path("real/mine.yaml").write_bytes(text)
    Path("link.yaml").symlink_to("real/mine.yaml")
    assert benchmarks("add", "mini_obscure", "--study", "link.yaml").exit_code == 0
    assert Path("link.yaml").is_symlink()
    added = b"  - mini_obscure\r\nseed"
    assert Path("real/mine.yaml").read_bytes() == text.replace(b"seed", added)


def test_own_data_of_a_linked_study_are_found(pairs: Path) -> None:
    Path("real").mkdir()
    Path("real/mine.yaml").write_text("models: [demo]\nbenchmarks: [mini_maths]\n")
    Path("link.yaml").symlink_to("real/mine.yaml")
    assert benchmarks("add", "pairs.csv", "--study", "link.yaml").exit_code == 0
    assert load_study("link.yaml").benchmark("pairs").path == str(pairs)


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pairs.csv", "--study", "demo"), "ships with gradpipe"),
        (("pairs.csv", "--study", "~nobody-of-that-name/study.yaml"), "cannot be read"),
        (("pairs.csv", "--name", "n" * 101), "'name' is invalid"),
        (("mini_obscure", "--columns", "instruction=q"), "--columns has no effect"),
        (("mini_obscure", "--split", "train"), "--split has no effect"),
        (("mini_obscure", "--revision", "x"), "--revision has no effect"),
    ],
)
def test_what_cannot_be_added_is_refused(words: tuple[str, ...], said: str) -> None:
    result = benchmarks("add", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_study_file_knows_the_styles_that_it_declares(pairs: Path, home: Path) -> None:
    text = "models: [demo]\nbenchmarks:\n  - mini_maths\nstyles: {teacher_a: , none: }\n"
    Path("mine.yaml").write_text(text)
    columns = "instruction=question,teacher_a=detailed,none=none"
    added = benchmarks("add", "pairs.csv", "--study", "mine.yaml", "--columns", columns)
    assert added.exit_code == 0, added.output
    assert "none, teacher_a" in added.stdout
    responses = load_study("mine.yaml").benchmark("pairs").columns.responses
    assert responses == {"teacher_a": "detailed", "none": "none"}
