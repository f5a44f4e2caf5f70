"""The three methods do the same work: equal losses, equal singular values."""

from itertools import chain

import numpy as np
import polars as pl
import pytest
import torch

from bench.bare import BUDGETS, bare_passes, batches_within
from bench.layer import build_model, distinct_row, layer_factors, our_spectra
from bench.naive import asking_weights, naive_rows
from bench.ours import batches_of, largest_difference, our_rows
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel

LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 1,
    "vocab_size": 64,
}


def test_the_naive_method_finds_the_singular_values_of_gradpipe(
    loaded: LoadedModel, rows: list[TokenRow]
) -> None:
    naive = naive_rows(loaded.model, rows)
    table = pl.concat(our_rows(loaded, rows)).sort("row")
    np.testing.assert_allclose(table["loss"], [loss for loss, _ in naive], rtol=1e-5)
    found = explode_matrices(table.lazy()).collect()
    assert len(found) == len(rows) * 3 * 4
    for matrix in found.iter_rows(named=True):
        ours = np.array(matrix["singular_values"])
        theirs = naive[matrix["row"]][1][matrix["layer"], matrix["projection"]].cpu().numpy()
        largest = theirs[0]
        np.testing.assert_allclose(ours, theirs[: len(ours)], rtol=1e-4, atol=1e-5 * largest)
        assert (theirs[len(ours) :] < 1e-5 * largest).all()


@pytest.mark.parametrize("budget", [None, 1, 70])
def test_the_bare_passes_have_the_losses_of_gradpipe_in_its_own_batches(
    loaded: LoadedModel, rows: list[TokenRow], budget: int | None
) -> None:
    frames = our_rows(loaded, rows, budget)
    batches = batches_of(frames)
    assert sorted(chain(*batches)) == list(range(len(rows)))
    losses = bare_passes(loaded.model, rows, batches)
    np.testing.assert_allclose(pl.concat(frames).sort("row")["loss"], losses, rtol=1e-5)


def test_the_bare_passes_go_back_to_the_embeddings_and_leave_no_gradient(
    loaded: LoadedModel, rows: list[TokenRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = []
    forward = loaded.model.forward

    def watched(inputs_embeds: torch.Tensor, **settings: object) -> object:
        embedded.append(inputs_embeds)
        return forward(inputs_embeds=inputs_embeds, **settings)

    monkeypatch.setattr(loaded.model, "forward", watched)
    bare_passes(loaded.model, rows, [[0, 3], [2]])
    assert [tuple(each.shape) for each in embedded] == [(2, 31, 32), (1, 41, 32)]
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in embedded)
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_only_attention_weights_require_gradients_and_none_remain(loaded: LoadedModel) -> None:
    def asking() -> set[str]:
        return {name for name, weight in loaded.model.named_parameters() if weight.requires_grad}

    with asking_weights(loaded.model) as weights:
        assert set(weights) == {(layer, name) for layer in range(3) for name in "qkvo"}
        assert {name.split(".")[-2] for name in asking()} == {f"{name}_proj" for name in "qkvo"}
        assert len(asking()) == 12
    assert not asking()


@pytest.mark.parametrize("budget", BUDGETS)
def test_batches_hold_every_row_once_within_the_budget(budget: int) -> None:
    rows = [TokenRow([0] * length, 1, False) for length in (300, 90, 95, 600, 91, 310, 5000)]
    batches = batches_within(rows, budget)
    assert sorted(chain(*batches)) == list(range(len(rows)))
    for batch in batches:
        lengths = [len(rows[number].ids) for number in batch]
        assert len(batch) == 1 or len(batch) * max(lengths) <= budget
        assert max(lengths) <= 1.1 * min(lengths)
    if budget == 1024:
        assert batches == [[1, 4, 2], [0, 5], [3], [6]]


def test_the_difference_is_of_the_nuclear_norms(loaded: LoadedModel, rows: list[TokenRow]) -> None:
    frames = our_rows(loaded, rows)
    (_, spectra) = naive_rows(loaded.model, rows[2:3])[0]
    assert largest_difference(frames, {2: spectra}) < 1e-4
    spectra[1, "k"] = 2 * spectra[1, "k"]
    assert largest_difference(frames, {2: spectra}) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
def test_the_spectra_of_a_layer_alone_are_those_of_the_whole(family: str) -> None:
    extra = {"head_dim": 16, "query_pre_attn_scalar": 16} if family == "gemma2" else {}
    loaded, row = build_model("tiny", family, LLAMA | extra), distinct_row(50)
    alone = our_spectra(layer_factors(loaded.model, row))
    assert {name for _, name in alone} == set("qkvo")
    # Nothing of a layer in the middle's work is cut: all but the last token carry gradient.
    assert len(set(row.ids)) == 50
    assert row.response_tokens == 49
    assert largest_difference(our_rows(loaded, [row]), {0: alone}) < 1e-5
