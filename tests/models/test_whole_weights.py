"""Weights that are half written or without a part are found from headers, before a run."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gradpipe.errors import ModelError
from gradpipe.models.find import find_model
from gradpipe.models.whole_weights import require_whole_weights, weight_names
from tests.models.making import in_parts


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        find_model(str(folder))
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def test_whole_weights_are_accepted_in_one_file_and_in_parts(folder: Path) -> None:
    require_whole_weights("m", folder)
    in_parts(folder)
    require_whole_weights("m", folder)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.001, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("parts", [False, True], ids=["one file", "two parts"])
def test_a_file_that_is_cut_short_is_named_with_its_sizes(
    share: float, parts: bool, folder: Path
) -> None:
    file = in_parts(folder)[1] if parts else folder / "model.safetensors"
    content = file.read_bytes()
    kept = int(len(content) * share)
    file.write_bytes(content[:kept])
    header = 8 + int.from_bytes(content[:8], "little")
    # Until the header is whole, it does not say how long the file is.
    wanted = 8 if kept < 8 else header if kept < header else len(content)
    refused(folder, rf"{file.name}: it has {kept} of {wanted} bytes\).*until it is saved")


def test_a_part_that_is_missing_is_named(folder: Path) -> None:
    in_parts(folder)[0].unlink()
    refused(folder, r"^model-00001-of-00002\.safetensors, a part of .*, is missing")


def test_an_index_that_is_missing_is_named(folder: Path) -> None:
    in_parts(folder)
    (folder / "model.safetensors.index.json").unlink()
    refused(folder, r"parts of weights .* index model\.safetensors\.index\.json is missing")


def test_a_part_of_another_checkpoint_is_found_by_its_tensors(folder: Path) -> None:
    part = in_parts(folder)[1]
    save_file({"other": torch.zeros(2)}, part, {"format": "pt"})
    refused(folder, rf"{part.name} of .* does not have \d+ of the tensors of its index")


def test_a_checkpoint_whose_weights_are_not_written_yet_is_not_called_a_pickle(
    folder: Path,
) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "has a config.json and no weights")


def test_the_weights_of_a_folder_are_one_file_or_all_parts() -> None:
    assert weight_names(["b.safetensors", "a.safetensors", "x.bin", "sub/c.safetensors"]) == [
        "a.safetensors",
        "b.safetensors",
    ]
    assert weight_names(["model.safetensors", "consolidated.safetensors"]) == ["model.safetensors"]


def test_a_copy_of_a_model_is_whole_under_any_name(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy of it")
    assert find_model(str(copy)).id == str(copy)
