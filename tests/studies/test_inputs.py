"""Whether the models and data of a study are there."""

from pathlib import Path

import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.inputs import input_faults, require_inputs
from gradpipe.studies.study import Study


def study_of(folder: Path, *, table: str = "question,short\nWhat?,That.\n") -> Study:
    (folder / "table.csv").write_text(table)
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
    study = study_of(tmp_path).model_copy(
        update={
            "models": Study.model_validate(
                {"models": [str(small_model)], "benchmarks": ["mini_maths"]}
            ).models
        }
    )
    cheap = [fault for fault in input_faults(study) if "table" in fault]
    thorough = [fault for fault in input_faults(study, thorough=True) if "table" in fault]
    assert (len(cheap), len(thorough)) == (0, 1)
    assert "question, short" in thorough[0]
    assert not any(fault.startswith("model") for fault in input_faults(study, thorough=True))
