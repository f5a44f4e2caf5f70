"""Whether the models and data of a study are there."""

from pathlib import Path

import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.inputs import input_faults, require_inputs
from gradpipe.studies.study import Study


def study_of(folder: Path) -> Study:
    (folder / "table.csv").write_text("question,short\nWhat?,That.\n")
    files = [{"name": name, "source": "files", "path": f"{folder}/{name}.csv"} for name in "ab"]
    return Study.model_validate(
        {
            "name": "mine",
            "models": [f"{folder}/model", "org/name", "demo"],
            "benchmarks": [
                *files,
                {"name": "table", "source": "files", "path": f"{folder}/table.csv"},
                {"name": "gsm9", "source": "flan"},
                "gsm8k",
            ],
        }
    )


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        require_inputs(study_of(tmp_path))
    first, *reasons = str(caught.value).split("\n  ")
    assert "'mine'" in first
    assert [reason.partition(":")[0] for reason in reasons] == [
        f"model {tmp_path}/model",
        "benchmark a",
        "benchmark b",
        "benchmark gsm9",
    ]


def test_a_single_fault_is_a_sentence(tmp_path: Path) -> None:
    study = Study.model_validate({"models": [f"{tmp_path}/no"], "benchmarks": ["mini_maths"]})
    with pytest.raises(StudyError, match=rf"'study' cannot be run: model {tmp_path}/no: There"):
        require_inputs(study)


def test_a_thorough_look_reads_tables_and_folders(small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("question,short\nWhat?,That.\n")
    own = {"name": "own", "source": "files", "path": f"{tmp_path}/own.csv"}
    study = Study.model_validate({"models": [str(small_model)], "benchmarks": [own, "mini_maths"]})
    assert list(input_faults(study)) == []
    (fault,) = input_faults(study, thorough=True)
    assert fault.startswith("benchmark own: ")
    assert "question, short" in fault


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ("instruction,teacher_a,GPT-4o\nq,a,b\n", {}, ""),
        (
            "instruction,teacher,text\nq,teacher_a,a\nq,GPT-4o,b\n",
            {"style": "teacher", "response": "text"},
            "",
        ),
        ("instruction,answer,teacher_a\nq,1,a\n", {}, "no column 'GPT-4o'"),
        (
            "instruction,teacher,text\nq,teacher_a,a\n",
            {"style": "teacher", "response": "text"},
            "no response of the style 'GPT-4o'",
        ),
    ],
)
def test_a_table_is_read_with_the_styles_that_the_study_declares(
    table: str, columns: dict[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "own.csv").write_text(table)
    own = {"name": "own", "source": "files", "path": f"{tmp_path}/own.csv", "columns": columns}
    styles = {"teacher_a": None, "teacher_b": {"column": "GPT-4o"}}
    study = Study.model_validate({"models": ["demo"], "benchmarks": [own], "styles": styles})
    faults = list(input_faults(study, thorough=True))
    assert len(faults) == bool(said)
    assert said in "".join(faults)


def test_a_model_may_be_based_on_a_step_of_a_series(small_model: Path, tmp_path: Path) -> None:
    models = [
        {"id": str(tmp_path), "name": "sft", "checkpoints": "checkpoint-*"},
        {"id": str(small_model), "name": "tuned", "base": "sft@100"},
    ]
    study = Study.model_validate({"models": models, "benchmarks": ["mini_maths"]})
    assert [*input_faults(study), *input_faults(study, thorough=True)] == []
