"""A model that a user names, as an entry of a study."""

from pathlib import Path

import pytest

from gradpipe.errors import ModelError
from gradpipe.studies.new_study.model_entry import find_model_choice


def test_a_local_model_is_written_as_a_path_and_named_after_its_folder(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_model.parent)
    below = find_model_choice(small_model.name, small_model.parent)
    elsewhere = find_model_choice(small_model.name, tmp_path)
    assert below.setting == {"id": "./small", "name": "small"}
    assert elsewhere.setting == {"id": str(small_model), "name": "small"}


def test_a_folder_of_checkpoints_is_a_series(tmp_path: Path) -> None:
    (tmp_path / "sft/checkpoint-100").mkdir(parents=True)
    choice = find_model_choice(str(tmp_path / "sft"), tmp_path)
    assert choice.setting == {"id": "./sft", "checkpoints": "checkpoint-*"}


def test_a_model_of_the_hub_is_not_looked_up() -> None:
    assert find_model_choice("org/no-such-model", Path("/")).setting == "org/no-such-model"


@pytest.mark.parametrize("model", ["./nowhere", "a b c", "x.gguf"])
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises(ModelError, match="no model at"):
        find_model_choice(model, Path("/"))
