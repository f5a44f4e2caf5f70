"""FLOPs, memory and disk against explicit sums, the counts of torch, and a written file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gradpipe.estimates.costs import (
    FEWEST_MERGED,
    FILE_BYTES,
    MERGED_BYTES,
    by_tokens,
    comparison_flops,
    cost_of,
    file_bytes,
    pass_flops,
    row_bytes,
    row_values,
    spectra_flops,
)
from gradpipe.estimates.memory import activation_bytes, memory_of
from gradpipe.estimates.model_shape import KNOWN, ModelShape, config_shape
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.loss import backward_of_losses
from gradpipe.gradients.passes.memory import saved_bytes
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.spectra import matmul, spectrum
from gradpipe.gradients.spectra.inner_products import (
    layer_gradients,
    next_layer_products,
    same_layer_products,
)
from gradpipe.gradients.spectra.sketches import Sketcher
from gradpipe.models.load import LoadedModel
from storage.parts import FEWEST_PARTS, MERGED_PART
from storage.row_store import RowStore
from storage.workspace import SPECTRA_SCHEMA
from tests.estimates.conftest import rows_of

QKVO = ("q", "k", "v", "o")
TINY = ModelShape(
    layers=2, hidden=8, heads=2, kv_heads=1, head_dim=4, intermediate=16, vocabulary=10
)


def test_a_small_case_against_explicit_sums() -> None:
    shape = TINY
    # q and o 64 weights each, k and v 32, the MLP 3 · 128: 576 per layer.
    assert shape.weights_per_token == 2 * 576
    assert shape.weights == 2 * 576 + 2 * 80
    linear, attention, head = 2 * 3 * 1152, 4 * 9 * 8 * 2, 2 * 2 * 80
    assert pass_flops(shape, 3, 2) == 2 * linear + 3.5 * attention + 2 * head
    checkpointed = pass_flops(shape, 3, 2, checkpointing=True)
    assert checkpointed - pass_flops(shape, 3, 2) == linear + attention
    # Three tokens: K and V [4, 8] go by tokens as Q does. Last layer: Q's two rows apart.
    full = 2 * 9 * 8 + 4 * 27 + 4 * 27
    gram = 2 * 9 * 8 + 9
    narrow = 2 * 9 * 4 + 4 * 27 + 4 * 27
    cut = 2 * 4 * 8 + 4 * 8 + 4 * 8 + 2 * 4 * 8 + 8 / 3
    inner = (full + 2 * narrow + gram) + (full + gram)
    last = (cut + 2 * narrow + gram) + cut
    assert spectra_flops(shape, 3, 2, QKVO) == pytest.approx(inner + last)
    # The last token predicts nothing; the last layer's Q and O see the response's two alone.
    assert row_values(shape, 3, 2, QKVO) == 8 * 2
    assert row_values(shape, 4, 2, QKVO) == 4 * 3 + 2 * 3 + 2 * 2


def test_passes_are_those_that_torch_counts(make_loaded: Callable[..., LoadedModel]) -> None:
    model = make_loaded(attn_implementation="eager").model
    shape = config_shape(model.config)
    hook = model.get_input_embeddings().register_forward_hook(
        lambda _module, _inputs, output: output.requires_grad_(True)
    )
    with frozen(model), FlopCounterMode(display=False) as counter:
        backward_of_losses(model, rows_of((300, 112)))
    hook.remove()
    # Eager attention keeps its scores: its backward pass is twice the forward one, not 2.5 times.
    attention = 4 * 300**2 * 128 * 4
    expected = pass_flops(shape, 300, 112) - 0.5 * attention
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_spectra_use_the_matrix_size_of_the_extraction() -> None:
    seen = set()
    for tokens in (8, 30, 60, 120, 200):
        for d_out, d_in in ((128, 128), (32, 128), (128, 32)):
            inputs = spectrum.Inputs(torch.randn(1, tokens, d_in).double())
            core, _ = spectrum._core(inputs, torch.randn(1, tokens, d_out).double())
            small = tokens if by_tokens(tokens, d_out, d_in) else min(d_out, d_in)
            assert core.shape == (1, small, small)
            seen.add(small == tokens)
    assert seen == {True, False}


@pytest.mark.parametrize("tokens", [20, 90, 300])
@pytest.mark.parametrize("narrow", [False, True])
def test_comparisons_are_those_that_torch_counts(
    tokens: int, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What oneDNN is called for, torch does not count.
    monkeypatch.setattr(matmul, "onednn_is_faster", lambda: False)
    # Heads narrower than the model leave Q and O unlike, but with as many entries.
    shape = ModelShape(
        layers=1,
        hidden=256,
        heads=4,
        kv_heads=2,
        head_dim=32 if narrow else 64,
        intermediate=512,
        vocabulary=100,
    )
    x, mixed = torch.randn(1, tokens, 256), torch.randn(1, tokens, shape.projection("o")[1])
    ds = {name: torch.randn(1, tokens, shape.projection(name)[0]) for name in QKVO}
    groups = [(x, {name: ds[name] for name in "qkv"}), (mixed, {"o": ds["o"]})]
    above = layer_gradients(groups)
    sketcher = Sketcher()
    with FlopCounterMode(display=False) as counter:
        gradients = layer_gradients([(x.clone(), groups[0][1]), groups[1]])
        sketcher.sketches(gradients)
        same_layer_products(gradients)
        next_layer_products(gradients, above)
    expected = comparison_flops(shape, tokens, QKVO)
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("settings", [{}, {"num_key_value_heads": 8}, {"num_hidden_layers": 7}])
def test_activations_take_the_memory_that_autograd_keeps(
    make_loaded: Callable[..., LoadedModel], settings: dict[str, int], checkpointing: bool
) -> None:
    loaded = replace(make_loaded(**settings), checkpointing=checkpointing)
    rows = rows_of((200, 90), (210, 90))
    shape = config_shape(loaded.model.config)
    with saved_bytes(loaded.model, shape.layers if checkpointing else 0) as saved:
        list(extract_rows(loaded, rows, STANDARD, budget=4096))
    expected = activation_bytes(shape, "float32", checkpointing)
    assert saved.bytes / 420 == pytest.approx(expected, rel=0.05)
    assert (saved.recomputed > 0) == checkpointing


def test_memory_is_weights_and_the_batch() -> None:
    shape = KNOWN["llama-3.1-8b"]
    on_paper = memory_of(shape, "bfloat16", 8192, 1024, on_cpu=False)
    assert on_paper.weights == pytest.approx(16.06e9, rel=0.01)
    assert on_paper.bytes == on_paper.weights + on_paper.activations + on_paper.spectra
    twice = memory_of(shape, "bfloat16", 8192, 1024, on_cpu=False, checkpointing=True)
    assert twice.activations < 0.2 * on_paper.activations
    measured = memory_of(shape, "float32", 100, 50, bytes_per_token=7.0)
    assert measured.activations == 700


def test_disk_space_is_that_of_a_store(
    make_loaded: Callable[..., LoadedModel], tmp_path: Path
) -> None:
    loaded = make_loaded()
    lengths = [(60 + 9 * n, 20 + 7 * n) for n in range(24)]
    store = RowStore(tmp_path / "rows", SPECTRA_SCHEMA)
    values = files = 0
    for frame in extract_rows(loaded, rows_of(*lengths), STANDARD, budget=1024):
        keys = pl.format("{}-" + "0" * 60, "row").alias("key")
        store.append(frame.with_columns(keys).drop("row"))
        found = frame.explode("matrices").unnest("matrices")["singular_values"]
        values += int(found.list.len().sum())
        files += 1
    shape = config_shape(loaded.model.config)
    assert values == sum(row_values(shape, *length, QKVO) for length in lengths)
    expected = sum(row_bytes(shape, *length, QKVO) for length in lengths) + files * FILE_BYTES
    assert store.bytes() == pytest.approx(expected, rel=0.15)


def test_costs_add_up() -> None:
    shape = TINY
    both = cost_of(shape, [(3, 2), (5, 2), (3, 2)], QKVO)
    apart = cost_of(shape, [(3, 2)], QKVO).times(2) + cost_of(shape, [(5, 2)], QKVO)
    assert both == apart
    assert (both.rows, both.tokens, both.response_tokens) == (3, 11, 6)
    assert both.flops == both.passes + both.spectra + both.comparisons


def test_files_are_counted_as_the_row_store_merges_them() -> None:
    assert (FEWEST_MERGED, MERGED_BYTES) == (FEWEST_PARTS, MERGED_PART)
    assert file_bytes(FEWEST_MERGED - 1, 1e6) == (FEWEST_MERGED - 1) * FILE_BYTES
    assert file_bytes(FEWEST_MERGED, 1e6) == FILE_BYTES
    assert file_bytes(10_000, 3.5 * MERGED_BYTES) == 4 * FILE_BYTES
