"""What a batch may take is read off the machine, and what did not fit is known by its words."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from gradpipe.gradients.passes import memory
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.limits import ACCELERATOR_SHARE, CPU_SHARE, RESERVE
from gradpipe.gradients.passes.memory import (
    free_memory,
    out_of_memory,
    saved_bytes,
    tokens_that_fit,
)
from gradpipe.system import control_groups

GIB = 2**30


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The free memory of each device, to be filled in."""
    found: dict[str, int] = {}
    monkeypatch.setattr(memory, "free_memory", found.__getitem__)
    return found


def test_a_batch_takes_its_share_of_what_is_free(free: dict[str, int]) -> None:
    free["cpu"] = 1000 * 100
    assert tokens_that_fit(100, ["cpu"]) == int(1000 * CPU_SHARE)
    free["cuda:0"] = RESERVE * 2
    expected = int((2 * ACCELERATOR_SHARE - 1) * RESERVE / 1e7)
    assert tokens_that_fit(1e7, ["cuda:0"]) == expected


def test_plenty_of_memory_holds_much_and_next_to_none_holds_one(free: dict[str, int]) -> None:
    for device in ("cpu", "cuda:0"):
        free[device] = 10**15
        assert tokens_that_fit(1000, [device]) > 10**11
        assert tokens_that_fit(0, [device]) > 10**14
        for little in (0, 10):
            free[device] = little
            assert tokens_that_fit(1000, [device]) == 1


def test_a_model_that_is_spread_is_held_to_its_fullest_device(free: dict[str, int]) -> None:
    free |= {"cuda:0": 40 * GIB, "cuda:1": 10 * GIB}
    both = tokens_that_fit(1e8, ["cuda:0", "cuda:1"])
    assert both == int((ACCELERATOR_SHARE * 20 * GIB - RESERVE) / 1e8)
    assert both < tokens_that_fit(1e8, ["cuda:0"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: "), False),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: "
                "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
            ),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=str,
)
def test_each_device_says_in_its_own_words_that_a_batch_did_not_fit(
    error: BaseException, expected: bool
) -> None:
    assert out_of_memory(error) is expected


def test_torch_says_it_in_the_words_that_are_known() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(refused.value)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that writes the limit and the use of each control group, None for no file."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=50 * GIB))

    def write(*groups: tuple[str | None, str | None]) -> None:
        pairs = []
        for number, texts in enumerate(groups):
            files = [tmp_path / f"{number}.{name}" for name in ("limit", "use")]
            for file, text in zip(files, texts, strict=True):
                file.unlink(missing_ok=True)
                if text is not None:
                    file.write_text(text)
            pairs.append(tuple(map(str, files)))
        monkeypatch.setattr(control_groups, "CONTROL_GROUPS", tuple(pairs))

    return write


def test_a_container_has_what_its_control_group_leaves(groups: Callable[..., None]) -> None:
    limited = (f"{8 * GIB}\n", f"{3 * GIB}\n")
    for pairs, expected in (
        ((), 50),
        (((None, None),), 50),
        ((("max\n", f"{3 * GIB}\n"),), 50),
        ((limited,), 5),
        (((None, None), limited), 5),
        (((f"{9 * GIB}", None),), 50),
        # The first generation's way of saying that there is no limit.
        (((f"{2**63 - 4096}", f"{3 * GIB}"),), 50),
        (((f"{2 * GIB}", f"{3 * GIB}"),), 0),
    ):
        groups(*pairs)
        assert free_memory("cpu") == expected * GIB


def test_this_machine_has_some_memory() -> None:
    assert 0 < free_memory("cpu") <= psutil.virtual_memory().total


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        # The linear layer keeps its weight, the square its inputs.
        found: Tensor = self.inner(x) ** 2
        return found


def test_activations_count_once_and_weights_not_at_all() -> None:
    model = Squares().requires_grad_(False)
    x = torch.ones(5, 8, requires_grad=True)
    with saved_bytes(model) as found:
        y = model(x)
        assert found.bytes == 5 * 8 * 4
        # The same activation again, and a view of it.
        kept = model.inner(x)
        _ = kept * kept.view(40).view(5, 8)
        assert found.bytes == 2 * 5 * 8 * 4
    model(x)
    assert found.bytes == 2 * 5 * 8 * 4
    y.sum().backward()


def test_nothing_is_kept_without_a_graph() -> None:
    model = Squares()
    with saved_bytes(model) as found, torch.no_grad():
        model(torch.ones(5, 8))
    assert found.bytes == 0


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_weights_that_are_brought_in_for_use_are_not_activations(
    family: str, make_model: Callable[..., Any], tmp_path: Path
) -> None:
    make_model(family).save_pretrained(tmp_path / "model")
    ids = torch.arange(40)[None] + 3
    found = []
    for settings in (
        {},
        {"device_map": {"": "disk"}, "offload_folder": tmp_path / "offload"},
    ):
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", **settings)
        hook = model.get_input_embeddings().register_forward_hook(
            lambda _module, _inputs, output: output.requires_grad_(True)
        )
        with frozen(model), saved_bytes(model) as saved:
            model(input_ids=ids, use_cache=False)
        hook.remove()
        found.append(saved.bytes)
    in_memory, on_disk = found
    assert in_memory > 0
    # Small things that no parameter is, such as tables of angles, may be brought in too.
    assert on_disk == pytest.approx(in_memory, rel=0.01)


def test_freed_memory_goes_back_to_the_system_where_the_c_library_can() -> None:
    memory.trim_heap()


def test_a_c_library_that_cannot_trim_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: SimpleNamespace())
    memory.trim_heap()
