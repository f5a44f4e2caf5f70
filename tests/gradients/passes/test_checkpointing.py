"""Layers that are computed twice give the very numbers that layers kept in memory give."""

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from accelerate.utils.offload import OffloadedWeightsLoader
from polars.testing import assert_frame_equal
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import AutoModelForCausalLM

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes import fast_linear
from gradpipe.gradients.passes.checkpointing import checkpointed, decoder_layers
from gradpipe.gradients.passes.factors import factors_to, frozen
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import offloaded
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import Projection, find_projections
from gradpipe.standalone.notebook import extract_spectra

FAMILIES = (
    "llama",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "olmo2",
    "phi3",
    "gpt2",
    "gpt_neox",
    "falcon",
    "gpt_bigcode",
)
SHAPES = ((5, 2), (19, 11), (41, 20))


@pytest.fixture(autouse=True)
def one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same matrix product each time: a trial may end one way now and the other way later."""
    faster = torch.backends.mkldnn.is_available()
    monkeypatch.setattr(fast_linear, "_onednn_is_faster", lambda _modules: faster)


#: X and D of each (layer, projection).
Factors = dict[tuple[int, str], tuple[torch.Tensor, torch.Tensor]]


def run(model: Any, rows: list[TokenRow], twice: bool) -> Factors:
    """Every projection's X and D in one pass over padded rows."""
    projections, found = find_projections(model), Factors()

    def sink(projection: Projection, x: torch.Tensor, d: torch.Tensor) -> None:
        assert (projection.layer, projection.name) not in found
        found[projection.layer, projection.name] = x.detach(), d

    ids = torch.zeros(len(rows), max(len(row.ids) for row in rows), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
    with (
        frozen(model),
        checkpointed(model, projections) if twice else nullcontext(),
        factors_to(sink, model, projections, rows),
    ):
        model(input_ids=ids, use_cache=False).logits.float().logsumexp(-1).sum().backward()
    assert len(found) == len(projections)
    return found


def extract(model: Any, rows: list[TokenRow], twice: bool = False) -> pl.DataFrame:
    loaded = LoadedModel(
        name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu", checkpointing=twice
    )  # type: ignore[arg-type]
    return pl.concat(list(extract_rows(loaded, rows, STANDARD))).drop("seconds")


def assert_equal(some: Factors, others: Factors) -> None:
    assert some.keys() == others.keys()
    for place, factors in some.items():
        assert all(map(torch.equal, factors, others[place]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_batch_has_the_same_gradients_to_the_last_digit(
    family: str, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model(family), make_rows(*SHAPES)
    assert_equal(run(model, rows, twice=True), run(model, rows, twice=False))
    assert_frame_equal(extract(model, rows, twice=True), extract(model, rows), check_exact=True)


def test_what_a_training_model_would_drop_out_stays(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    dropping = {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}
    model, rows = make_model("gpt2", **dropping).train(), make_rows(*SHAPES)
    assert_equal(run(model, rows, twice=True), run(model, rows, twice=False))
    assert model.training


@pytest.mark.parametrize("twice", [True, False])
def test_only_checkpointing_forgets_activations_before_the_backward_pass(
    twice: bool, make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model = make_model("llama")
    seen: list[weakref.ref[torch.Tensor]] = []
    kept: list[int] = []

    def backward_starts(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        gc.collect()
        kept.append(sum(reference() is not None for reference in seen))

    for layer in model.model.layers:
        layer.mlp.act_fn.register_forward_hook(
            lambda _module, _inputs, output: seen.append(weakref.ref(output))
        )
    model.lm_head.register_forward_hook(backward_starts)
    run(model, make_rows(*SHAPES), twice)
    assert kept == [0 if twice else 3]


def test_a_model_is_as_it_was_afterwards_even_where_a_pass_fails(
    make_model: Callable[..., Any],
) -> None:
    model = make_model("llama")
    layers = list(model.model.layers)
    own = layers[1].forward
    layers[1].forward = own

    def fail() -> None:
        with checkpointed(model, find_projections(model)):
            assert all("forward" in vars(layer) for layer in layers)
            assert layers[1].forward is not own
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ["forward" in vars(layer) for layer in layers] == [False, True, False]
    assert layers[1].forward is own


def test_a_gradient_reaches_what_a_layer_is_given_by_name(make_model: Callable[..., Any]) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, scale: float, *, states: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = scale * self.inner(states).tanh()
            return result

    model = nn.ModuleDict({"layers": nn.ModuleList([Layer(), Layer()])})
    projections: Any = [
        SimpleNamespace(layer=number, path=f"layers.{number}.inner") for number in (0, 1)
    ]
    layers: Any = model["layers"]
    gradients = []
    for context in (nullcontext(), checkpointed(model, projections)):
        start = torch.ones(2, 3, requires_grad=True)
        with context:
            layers[1](2.0, states=layers[0](2.0, states=start)).sum().backward()
        gradients.append(start.grad)
    assert torch.equal(*gradients)  # type: ignore[arg-type]


def test_layers_are_the_blocks_of_the_list_whether_they_hold_a_projection_or_not(
    make_model: Callable[..., Any],
) -> None:
    for family, path in (("llama", "model.layers"), ("gpt2", "transformer.h")):
        model = make_model(family, num_hidden_layers=3)
        projections = find_projections(model)
        assert decoder_layers(model, projections) == list(model.get_submodule(path))
        without_one = [each for each in projections if each.layer != 1]
        assert decoder_layers(model, without_one) == list(model.get_submodule(path))


def test_a_model_of_one_layer_is_left_alone(
    make_model: Callable[..., Any], make_rows: Callable[..., list[TokenRow]]
) -> None:
    model, rows = make_model("llama", num_hidden_layers=1), make_rows(*SHAPES)
    assert decoder_layers(model, find_projections(model)) == []
    assert_equal(run(model, rows, twice=True), run(model, rows, twice=False))


@pytest.fixture
def on_disk(tiny_folder: Path, tmp_path: Path) -> Any:
    """A model whose every weight is read from the disk when it is used."""
    model = AutoModelForCausalLM.from_pretrained(
        tiny_folder, device_map={"": "disk"}, offload_folder=tmp_path / "offload"
    )
    assert offloaded(model)
    return model.requires_grad_(False)


def test_weights_that_are_on_the_disk_give_the_same_gradients(
    on_disk: Any, tiny_folder: Path, make_rows: Callable[..., list[TokenRow]]
) -> None:
    rows = make_rows(*SHAPES)
    expected = run(AutoModelForCausalLM.from_pretrained(tiny_folder), rows, twice=False)
    assert_equal(run(on_disk, rows, twice=True), expected)


@pytest.fixture
def most_weights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list whose last entry is the most weights that were read from the disk and held at once."""
    held: list[StorageWeakRef] = []
    most = [0]
    read = OffloadedWeightsLoader.__getitem__

    def count(loader: OffloadedWeightsLoader, name: str) -> torch.Tensor:
        weight: torch.Tensor = read(loader, name)
        held[:] = [each for each in held if not each.expired()]
        held.append(StorageWeakRef(weight.untyped_storage()))
        most.append(max(most[-1], len(held)))
        return weight

    monkeypatch.setattr(OffloadedWeightsLoader, "__getitem__", count)
    return most


def test_weights_on_the_disk_are_in_memory_a_layer_at_a_time(
    on_disk: Any, most_weights: list[int], make_rows: Callable[..., list[TokenRow]]
) -> None:
    layer = len(list(on_disk.model.layers[0].parameters()))
    extract(on_disk, make_rows(*SHAPES))
    assert most_weights[-1] <= layer + 2
    run(on_disk, make_rows(*SHAPES), twice=False)
    assert most_weights[-1] >= 3 * (layer - 2)


def test_the_notebook_function_takes_both_kinds(
    on_disk: Any, tiny_folder: Path, make_tokenizer: Callable[..., Any]
) -> None:
    model, examples = AutoModelForCausalLM.from_pretrained(tiny_folder), [("2 + 2?", "It is 4.")]
    expected = extract_spectra(model, make_tokenizer(), examples)
    twice = extract_spectra(model, make_tokenizer(), examples, checkpointing=True)
    assert_frame_equal(twice, expected, check_exact=True)
    # Weights that are brought in for each use keep torch's own operations: rounding differs.
    brought_in = extract_spectra(on_disk, make_tokenizer(), examples)
    name = "singular_values"
    assert_frame_equal(brought_in.drop(name), expected.drop(name), rel_tol=1e-5)
    for values, others in zip(brought_in[name], expected[name], strict=True):
        # The first token's query sees one key: whether its gradient is zero or rounding error, and
        # with it the number of zeros behind the others, is chance.
        width = max(len(values), len(others))
        padded = [np.pad(each, (0, width - len(each))) for each in (values, others)]
        # The smallest of them have the largest one's rounding.
        np.testing.assert_allclose(*padded, rtol=1e-5, atol=1e-5 * others[0])
