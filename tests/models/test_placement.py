"""A model is laid out in memory as it is told, and what cannot be meant is refused."""

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from gradpipe.errors import ModelError, StudyError
from gradpipe.models.devices import devices, input_device, offloaded
from gradpipe.models.load import load_model
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from tests.conftest import save_mixture

ON_DISK = Placement({"": "disk"})


@pytest.mark.parametrize(
    "device_map",
    ["auto", "balanced", "sequential", "cpu", "cuda:1", "mps", {"": 0}, {"model": "disk", "x": 1}],
    ids=repr,
)
def test_a_device_map_that_transformers_takes_is_taken(device_map: Any) -> None:
    assert Placement(device_map).settings("cpu") == {"device_map": device_map}


@pytest.mark.parametrize(
    ("device_map", "message"),
    [
        ("autto", "no device_map 'autto' .*: did you mean 'auto'"),
        ("gpu", "no device_map 'gpu'"),
        ("disk", "a device such as cuda:1 is also allowed"),
        (True, "device_map cannot be True: give auto, one device, or a mapping"),
        ({}, "device_map cannot be {}"),
        ({"model": True}, "cannot put 'model' on True"),
        ({"model": -1}, "cannot put 'model' on -1"),
        ({"model": "attic"}, "cannot put 'model' on 'attic': name a part of the model"),
        ({3: "cpu"}, "cannot put 3 on 'cpu'"),
    ],
)
def test_a_device_map_that_makes_no_sense_is_refused(device_map: Any, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        Placement(device_map)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({0: "20GiB", "cpu": "1.5 gb"}, {0: "20GiB", "cpu": "1.5 gb"}),
        ({"0": "900MB", "disk": 7}, {0: "900MB", "disk": 7}),
    ],
)
def test_memory_limits_are_kept_with_gpus_by_number(memory: Any, expected: Any) -> None:
    placement = Placement("auto", max_memory=memory)
    assert placement.max_memory == expected
    assert placement.settings("cpu") == {"device_map": "auto", "max_memory": expected}


@pytest.mark.parametrize(
    ("device_map", "memory", "message"),
    [
        (None, {0: "20GiB"}, "max_memory limits automatic layouts only"),
        ("cuda:1", {1: "20GiB"}, "max_memory limits automatic layouts only"),
        ("auto", {}, "max_memory cannot be {}: give a mapping"),
        ("auto", "20GiB", "max_memory cannot be '20GiB'"),
        ("auto", {0: "much"}, "max_memory of 0 cannot be 'much': give bytes or a size"),
        ("auto", {0: True}, "max_memory of 0 cannot be True"),
        ("auto", {"attic": "1GB"}, "cannot limit 'attic': use the number of a GPU"),
        ("auto", {True: "1GB"}, "cannot limit True"),
    ],
)
def test_memory_limits_that_make_no_sense_are_refused(
    device_map: Any, memory: Any, message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        Placement(device_map, max_memory=memory)


def test_a_model_in_one_piece_streams_to_its_device_and_stays_put_on_the_cpu() -> None:
    assert IN_ONE_PIECE.settings("cuda") == {"device_map": "cuda"}
    assert IN_ONE_PIECE.settings("cpu") == {}


def test_weights_are_left_on_the_disk_where_the_layout_says_so(folder: Path, cache: Path) -> None:
    loaded = load_model(str(folder), dtype="bfloat16", placement=ON_DISK)
    assert offloaded(loaded.model)
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.device == "cpu"
    assert input_device(loaded.model) == torch.device("cpu")
    whole = load_model(str(folder), dtype="bfloat16")
    assert not offloaded(whole.model)
    ids = torch.tensor([[1, 2, 3]])
    logits = loaded.model(input_ids=ids).logits
    assert logits.dtype == torch.bfloat16
    assert torch.equal(logits, whole.model(input_ids=ids).logits)
    # They are read from the model's own files.
    assert not list((cache / "offload").glob("*/*"))


def test_a_layout_by_itself_finds_the_cpu_where_there_is_nothing_else(folder: Path) -> None:
    loaded = load_model(str(folder), placement=Placement("auto", checkpointing=True))
    assert loaded.checkpointing
    if not torch.cuda.is_available():
        assert loaded.device == "cpu"
        assert not offloaded(loaded.model)


def test_what_an_automatic_layout_may_not_keep_in_memory_goes_to_the_disk(folder: Path) -> None:
    placement = Placement("sequential", max_memory={"cpu": "120KB", "disk": "1GB"})
    model = load_model(str(folder), placement=placement).model
    assert offloaded(model)
    assert set(model.hf_device_map.values()) == {"cpu", "disk"}


@pytest.fixture
def mixture(folder: Path) -> Path:
    """A folder with a mixture of experts."""
    save_mixture(folder, folder)
    return folder


def test_weights_that_had_to_be_rearranged_are_removed_with_the_model(
    mixture: Path, cache: Path
) -> None:
    loaded = load_model(str(mixture), placement=ON_DISK)
    assert list((cache / "offload").glob("*/*"))
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        expected = load_model(str(mixture)).model(input_ids=ids).logits
        assert torch.equal(loaded.model(input_ids=ids).logits, expected)
    del loaded
    gc.collect()
    assert not list((cache / "offload").glob("*"))


def test_a_model_that_fails_to_load_leaves_nothing_on_the_disk(
    mixture: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_place: str, offload_folder: str, **_: Any) -> None:
        Path(offload_folder).mkdir(parents=True)
        (Path(offload_folder) / "half").write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", stop)
    with pytest.raises(ModelError, match=r"cannot be loaded \(No space left on device\)"):
        load_model(str(mixture), placement=ON_DISK)
    assert not list((cache / "offload").glob("*"))


def embedding(device: str, **hook: Any) -> Any:
    """A model whose input embeddings are on a device, with accelerate's hook or hooks."""
    inner = nn.Embedding(2, 2, device=device)
    if hook:
        inner._hf_hook = SimpleNamespace(**hook)
    return SimpleNamespace(get_input_embeddings=lambda: inner)


def test_token_ids_go_where_the_embeddings_are_computed() -> None:
    first, second = SimpleNamespace(), SimpleNamespace(execution_device="cuda:1")
    assert input_device(embedding("cpu", execution_device="cuda:0")) == torch.device("cpu")
    assert input_device(embedding("meta", execution_device="cuda:1")) == torch.device("cuda:1")
    assert input_device(embedding("meta", hooks=(first, second))) == torch.device("cuda:1")
    assert input_device(embedding("meta")) == torch.device("meta")


def test_the_devices_of_a_model_are_those_that_compute_its_inputs_first() -> None:
    model = embedding("cpu")
    assert devices(model) == ["cpu"]
    model.hf_device_map = {"a": 1, "b": 0, "c": "cuda:0", "d": "disk", "e": "cpu"}
    assert devices(model) == ["cpu", "cuda:0", "cuda:1"]
