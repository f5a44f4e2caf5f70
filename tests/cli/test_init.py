"""`gradpipe init`: from flags or from answers to a study that is run as it stands."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradpipe.cli import main
from gradpipe.studies.load import load_study

HEADER = "Question,Answer,none,Detailed\n"
ROWS = [f"What is {n} + 1?,{n + 1},{n + 1},We add 1 to {n}. That is {n + 1}.\n" for n in range(9)]


@pytest.fixture
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a table of two styles."""
    (tmp_path / "pairs.csv").write_text(HEADER + "".join(ROWS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at the terminal."""
    monkeypatch.setattr("gradpipe.cli.init._can_ask", lambda: True)


def init(*words: str, answers: str = "") -> Result:
    return CliRunner().invoke(main, ["init", *words], input=answers, catch_exceptions=False)


def test_flags_alone_make_a_study_of_own_data(folder: Path, small_model: Path) -> None:
    words = ("--model", str(small_model), "--data", "pairs.csv", "--data", "mini_obscure")
    result = init("mine.yaml", *words, "--title", "My question")
    assert result.exit_code == 0, result.output
    study = load_study("mine.yaml")
    assert (study.name, study.title, study.sample) == ("mine", "My question", 9)
    assert study.models[0].id == str(small_model)
    own = study.benchmark("pairs")
    assert (own.path, own.family) == (str(folder / "pairs.csv"), "math")
    assert own.columns.responses == {"none": "none", "detailed": "Detailed"}
    assert "gradpipe run --study mine.yaml" in result.stdout
    checked = CliRunner().invoke(main, ["check", "--study", "mine.yaml"])
    assert checked.exit_code == 0, checked.output


@pytest.mark.usefixtures("folder")
def test_a_file_is_replaced_only_if_that_is_said() -> None:
    words = ("study.yaml", "--data", "mini_maths", "--yes")
    Path("study.yaml").write_text("mine\n")
    refused = init(*words)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert Path("study.yaml").read_text() == "mine\n"
    assert init(*words, "--force").exit_code == 0
    assert load_study("study.yaml").name == "mini_maths"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--data"),
        (("--data", "pairs.cvs"), "'pairs.csv'"),
        (("--data", "mini_maths", "--model", "./nowhere"), "no model at ./nowhere"),
        (("study.txt", "--data", "mini_maths"), ".yaml"),
        (("none/study.yaml", "--data", "mini_maths"), "no folder"),
    ],
)
def test_what_cannot_be_a_study_is_not_written(words: tuple[str, ...], said: str) -> None:
    refused = init(*words)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert list(Path().glob("*.yaml")) == []


@pytest.mark.usefixtures("answered")
def test_a_person_is_asked_again_after_a_wrong_answer(folder: Path) -> None:
    (folder / "odd.csv").write_text("q,short,long\n" + "".join(f"{n}?,a,b\n" for n in range(20)))
    answers = [
        *("./nowhere", "demo", ""),
        *("pairs.cvs", "odd.csv", "q", "none=short", "detailed=long", "", "mini_maths", ""),
        *("second", "A title", "none", "all"),
    ]
    result = init("new.yaml", answers="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    study = load_study("new.yaml")
    assert [model.name for model in study.models] == ["demo"]
    assert [entry.name for entry in study.benchmarks] == ["odd", "mini_maths"]
    assert study.benchmarks[0].columns.responses == {"none": "short", "detailed": "long"}
    assert (study.name, study.title, study.sample) == ("second", "A title", None)


@pytest.mark.usefixtures("answered", "folder")
def test_what_is_given_is_not_asked_for() -> None:
    Path("study.yaml").write_text("mine\n")
    words = ("--model", "demo", "--data", "pairs.csv", "--name", "x", "--sample", "5")
    result = init(*words, answers="y\n\n")
    assert result.exit_code == 0, result.output
    assert (load_study("study.yaml").name, load_study("study.yaml").sample) == ("x", 5)


@pytest.mark.usefixtures("folder")
def test_in_a_terminal_it_asks() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "gradpipe.cli", "init", "asked.yaml"]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    os.write(leader, b"demo\n\npairs.csv\n\n\n\n\n")
    shown = b""
    # A terminal whose other end is closed cannot be read.
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:
        pass
    os.close(leader)
    assert process.wait(timeout=120) == 0, shown.decode()
    assert load_study("asked.yaml").name == "asked"


@pytest.mark.usefixtures("folder")
def test_data_and_models_of_the_same_name_are_numbered(small_model: Path) -> None:
    for name in ("x", "y"):
        Path(name).mkdir()
        Path(name, "pairs.csv").write_text(HEADER + "".join(ROWS))
        Path(name, "model").symlink_to(small_model)
    words = [word for n in "xy" for word in ("--data", f"{n}/pairs.csv", "--model", f"{n}/model")]
    result = init("two.yaml", *words, "--yes")
    assert result.exit_code == 0, result.output
    assert "y/pairs.csv is named pairs-2" in result.stderr
    study = load_study("two.yaml")
    assert [entry.name for entry in study.benchmarks] == ["pairs", "pairs-2"]
    assert Path(study.benchmark("pairs-2").path or "").parent.name == "y"
    assert len({model.name for model in study.models}) == 2


@pytest.mark.usefixtures("answered", "folder")
@pytest.mark.parametrize(
    "words",
    [("/proc/study.yaml",), ("dir.yaml", "--force"), ("~nobody-of-that-name/study.yaml",)],
)
def test_a_file_that_cannot_be_written_is_found_before_the_questions(
    words: tuple[str, ...],
) -> None:
    Path("dir.yaml").mkdir()
    refused = init(*words, answers="demo\n")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("gradpipe: ")
    assert words[0].lstrip("~") in refused.stderr


@pytest.mark.usefixtures("folder")
def test_a_file_with_a_space_is_quoted_in_commands() -> None:
    Path("my dir").mkdir()
    result = init("my dir/my study.yaml", "--data", "mini_maths", "--yes")
    assert "gradpipe run --study 'my dir/my study.yaml' " in result.stdout
    assert "--study 'my dir/my study.yaml' " in Path("my dir/my study.yaml").read_text()
    added = ["benchmarks", "add", "mini_obscure", "--study", "my dir/my study.yaml"]
    result = CliRunner().invoke(main, added, catch_exceptions=False)
    assert "`gradpipe run --study 'my dir/my study.yaml'`" in result.stdout


@pytest.mark.usefixtures("folder")
def test_columns_are_for_own_data_and_refused_without_any() -> None:
    Path("odd.csv").write_text("q,a,b\n" + "".join(f"{n}?,x,y\n" for n in range(9)))
    columns = ("--columns", "instruction=q,none=a", "--yes")
    assert init("odd.yaml", "--data", "odd.csv", "--data", "mini_maths", *columns).exit_code == 0
    refused = init("mini.yaml", "--data", "mini_maths", *columns)
    assert refused.exit_code == 2
    assert "--columns has no effect on mini_maths" in refused.stderr


@pytest.fixture
def teachers(folder: Path) -> str:
    """A table whose answers are of two teachers."""
    rows = [
        f"What is {n} + 1?,{n + 1},It is {n + 1}.,We add 1 to {n}: {n + 1}.\n" for n in range(9)
    ]
    (folder / "teachers.csv").write_text("question,answer,terse,Teacher B\n" + "".join(rows))
    return "teachers.csv"


def test_columns_become_styles_of_a_study_with_other_benchmarks(teachers: str) -> None:
    words = ("--data", teachers, "--data", "mini_maths", "--styles", "terse,Teacher B")
    assert init("mine.yaml", *words, "--yes").exit_code == 0
    study = load_study("mine.yaml")
    assert study.styles is not None
    assert study.styles.own == ("terse", "teacher_b")
    assert study.styles.columns(study.styles) == {"teacher_b": "Teacher B", "terse": "terse"}
    own, built_in = study.benchmarks
    assert (own.columns.instruction, own.styles) == ("question", None)
    assert built_in.styles == ["none", "simplified", "detailed"]
    assert CliRunner().invoke(main, ["check", "--study", "mine.yaml"]).exit_code == 0


def test_columns_that_nobody_asked_for_are_named(teachers: str) -> None:
    result = init("mine.yaml", "--data", teachers, "--yes")
    assert result.exit_code == 0
    assert "Not used: terse, Teacher B." in result.stderr


@pytest.mark.parametrize(
    ("styles", "said"),
    [
        ("terse,Teacher C", "did you mean 'Teacher B'"),
        ("terse,terse", "'terse' occurs twice"),
        ("1=terse", "'1' cannot be named so"),
    ],
)
def test_a_column_that_cannot_be_a_style_is_refused(teachers: str, styles: str, said: str) -> None:
    result = init("mine.yaml", "--data", teachers, "--styles", styles, "--yes")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("mine.yaml").exists()


@pytest.mark.usefixtures("answered")
def test_a_person_is_asked_which_columns_to_compare(teachers: str) -> None:
    answers = [*("terse,terse", "terse,b=Teacher B"), *("pairs.csv", ""), *("", "", "")]
    result = init("new.yaml", "--model", "demo", answers="\n".join([teachers, *answers]) + "\n")
    assert result.exit_code == 0, result.output
    study = load_study("new.yaml")
    assert study.styles is not None
    assert study.styles.own == ("terse", "b")
    assert study.benchmark("pairs").styles == ["none", "detailed"]
