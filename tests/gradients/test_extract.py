"""The extraction loop: every row comes out, faults with their reasons, the model as it was."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import PreTrainedTokenizerFast

import gradpipe
from gradpipe.errors import DataError, ModelError
from gradpipe.gradients.examples import extract_examples
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD, make_protocol
from gradpipe.gradients.rows import ROW_SCHEMA, Progress, explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from tests.gradients.conftest import assert_same_gradients

MakeModel = Callable[..., Any]
MakeTokenizer = Callable[..., PreTrainedTokenizerFast]
MakeRows = Callable[..., list[TokenRow]]


def load(model: Any, tokenizer: Any = None) -> LoadedModel:
    return LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=tokenizer, device="cpu")


def test_every_row_comes_out_once_usable_or_with_its_reason(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    rows = make_rows((9, 4), (20, 3), (5, 1), (10, 4))
    rows.insert(1, TokenRow([4, 5], 2, True, "the response is empty"))
    frames = list(extract_rows(load(make_model("llama")), rows, STANDARD, budget=20))
    assert all(frame.schema == ROW_SCHEMA for frame in frames)
    table = pl.concat(frames).sort("row")
    assert table["row"].to_list() == [0, 1, 2, 3, 4]
    assert table["tokens"].to_list() == [9, 2, 20, 5, 10]
    assert table["response_tokens"].to_list() == [5, 0, 17, 4, 6]
    assert table["reason"].to_list() == [None, "the response is empty", None, None, None]
    assert table["truncated"].to_list() == [False, True, False, False, False]
    assert table["loss"].is_null().to_list() == [False, True, False, False, False]
    assert table["matrices"].list.len().to_list() == [12, 0, 12, 12, 12]
    assert (table.filter(pl.col("reason").is_null())["seconds"] > 0).all()
    assert set(explode_matrices(table.lazy()).collect()["row"]) == {0, 2, 3, 4}


def test_a_token_beyond_the_embeddings_makes_its_row_unusable_and_no_other(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    size = model.get_input_embeddings().num_embeddings
    rows = make_rows((9, 4), (9, 4))
    rows.insert(1, TokenRow([4, 5, size, 6], 2, False))
    table = pl.concat(extract_rows(load(model), rows, STANDARD)).sort("row")
    assert table["reason"].is_null().to_list() == [True, False, True]
    assert str(size) in table["reason"][1]
    assert table["matrices"].list.len().to_list() == [12, 0, 12]
    alone = pl.concat(extract_rows(load(model), [rows[0], rows[2]], STANDARD)).sort("row")
    assert alone["loss"].to_list() == table["loss"].drop_nulls().to_list()


def test_each_token_that_carries_loss_has_its_cross_entropy(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    turns = TokenRow(list(range(3, 12)), 2, False, mask=(0, 2, 3, 7))
    rows = [*make_rows((12, 4), (5, 0)), turns, TokenRow([4, 5], 2, True, "no response")]
    table = pl.concat(extract_rows(load(model), rows, STANDARD)).sort("row")
    for row, kept in zip(rows[:3], table["token_losses"][:3], strict=True):
        logits = model(torch.tensor([row.ids]), use_cache=False).logits[0]
        places = torch.tensor(row.positions)
        targets = torch.tensor(row.ids)[places]
        plain = torch.nn.functional.cross_entropy(logits[places - 1], targets, reduction="none")
        np.testing.assert_allclose(kept, plain.detach(), rtol=1e-4)
    assert table["token_losses"].list.mean().to_list()[:3] == pytest.approx(table["loss"][:3])
    assert table["token_losses"][3] is None
    assert "token_losses" not in explode_matrices(table.lazy()).collect_schema()


def test_what_shares_the_batch_changes_no_row(make_model: MakeModel, make_rows: MakeRows) -> None:
    loaded = load(make_model("llama"))
    rows = make_rows(*((12 + 7 * (number % 5), 1 + number % 9) for number in range(14)))
    tables = [
        explode_matrices(pl.concat(extract_rows(loaded, rows, STANDARD, budget=budget)).lazy())
        .drop("seconds")
        .sort("row", "layer", "projection")
        .collect()
        for budget in (1, 64, 1024, None)
    ]
    alone = tables[0]
    assert alone["row"].unique().to_list() == list(range(14))
    for table in tables[1:]:
        names = ("row", "layer", "projection", "tokens", "response_tokens")
        assert_frame_equal(table.select(names), alone.select(names))
        for name in ("loss", "frobenius_norm", "token_norms", "token_energy"):
            np.testing.assert_allclose(table[name], alone[name], rtol=1e-5)
        pairs = zip(table["singular_values"], alone["singular_values"], strict=True)
        for values, expected in pairs:
            assert values.sum() == pytest.approx(expected.sum(), rel=1e-5)
            # Whether a token's gradient is zero or rounding error, and with it the number of zeros
            # behind the others, is chance.
            width = max(len(values), len(expected))
            padded = [np.pad(each, (0, width - len(each))) for each in (values, expected)]
            np.testing.assert_allclose(*padded, rtol=1e-5, atol=1e-5 * expected[0])


def test_only_the_projections_asked_for_are_taken(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    protocol = make_protocol("standard", projections=("k", "o"))
    rows = make_rows((9, 4))
    model = load(make_model("llama"))
    some, every = (
        explode_matrices(pl.concat(extract_rows(model, rows, each)).lazy()).collect()
        for each in (protocol, STANDARD)
    )
    assert some["projection"].to_list() == ["k", "o"] * 3
    expected = every.filter(pl.col("projection").is_in(["k", "o"]))
    assert_same_gradients(some.drop("seconds"), expected.drop("seconds"), 1e-5)


def test_progress_ends_at_all_rows_and_tokens(make_model: MakeModel, make_rows: MakeRows) -> None:
    rows = [*make_rows((9, 4), (20, 3)), TokenRow([4], 1, False, "the response is empty")]
    seen: list[Progress] = []
    list(extract_rows(load(make_model("llama")), rows, STANDARD, seen.append))
    assert seen[0] == Progress(rows=1, tokens=0, all_rows=3, all_tokens=29)
    assert seen[-1] == Progress(rows=3, tokens=29, all_rows=3, all_tokens=29)
    assert [progress.rows for progress in seen] == [1, 2, 3]


def test_the_model_comes_back_as_it_was(make_model: MakeModel, make_rows: MakeRows) -> None:
    model = make_model("llama").train()
    frozen = model.model.layers[0].mlp.up_proj.weight
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frames = extract_rows(load(model), make_rows((9, 4), (19, 4)), STANDARD)
    next(frames)
    assert not model.training
    frames.close()
    assert model.training
    assert [p for p in model.parameters() if not p.requires_grad] == [frozen]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.get_input_embeddings()._forward_hooks


def test_each_module_comes_back_in_its_own_mode(make_model: MakeModel, make_rows: MakeRows) -> None:
    model = make_model("llama").train()
    model.model.layers[1].eval()
    model.model.layers[1].mlp.train()
    modes = {name: module.training for name, module in model.named_modules()}
    for _ in extract_rows(load(model), make_rows((9, 4), (19, 4)), STANDARD, budget=20):
        assert not any(module.training for module in model.modules())
    assert {name: module.training for name, module in model.named_modules()} == modes


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_model_that_returns_tuples_has_the_same_gradients(
    family: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    rows, model = make_rows((9, 4), (19, 4)), make_model(family, return_dict=False)
    found, expected = (
        pl.concat(extract_rows(load(each), rows, STANDARD)) for each in (model, make_model(family))
    )
    assert_same_gradients(
        *(explode_matrices(f.lazy()).drop("seconds").collect() for f in (found, expected)), 1e-5
    )
    assert model.config.return_dict is False


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_the_callers_mode_of_autograd_neither_matters_nor_changes(
    family: str, mode: Callable[[], Any], make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model(family), make_rows((9, 4), (19, 4))
    expected = pl.concat(extract_rows(load(model), rows, STANDARD, budget=20))
    frames = []
    with mode():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        for frame in extract_rows(load(model), rows, STANDARD, budget=20):
            assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
            frames.append(frame)
    assert len(frames) == 2
    assert_same_gradients(
        *(
            explode_matrices(f.lazy()).drop("seconds").collect()
            for f in (pl.concat(frames), expected)
        ),
        1e-5,
    )


def test_examples_keep_their_keys(make_model: MakeModel, make_tokenizer: MakeTokenizer) -> None:
    examples = pl.DataFrame(
        {
            "key": ["c", "a", "b"],
            "instruction": ["Two plus two, as they say?", "Q", "R"],
            "response": ["4", "", "a longer one"],
            "benchmark": ["sums"] * 3,
            "index": [4, 5, 6],
            "style": ["none", "none", "detailed"],
            "relevance": ["correct"] * 3,
        }
    )
    loaded = load(make_model("llama"), make_tokenizer())
    table = pl.concat(extract_examples(loaded, examples, STANDARD))
    assert table.columns == ["key", *list(ROW_SCHEMA)[1:]]
    found = dict(table.select("key", "response_tokens").iter_rows())
    assert found == {"a": 0, "b": 12, "c": 1}
    assert table["key"].to_list()[0] == "a"
    overlong = examples.with_columns(response=pl.lit("x" * 200))
    with pytest.raises(DataError, match="the longest is sums 4 none correct with 200"):
        next(extract_examples(loaded, overlong, STANDARD))


def test_an_example_is_made_with_the_context_of_its_item(
    make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    contexts = [None, '{"unusable": "the response opens a think block"}']
    examples = pl.DataFrame(
        {
            "key": ["a", "b"],
            "instruction": ["Two plus two?"] * 2,
            "response": ["4"] * 2,
            "context": contexts,
            "benchmark": ["sums"] * 2,
            "index": [0, 1],
            "style": ["given"] * 2,
            "relevance": ["correct"] * 2,
        }
    )
    loaded = load(make_model("llama"), make_tokenizer())
    table = pl.concat(extract_examples(loaded, examples, STANDARD))
    assert dict(table.select("key", "reason").iter_rows()) == {
        "a": None,
        "b": "the response opens a think block",
    }


def test_a_notebook_takes_spectra_from_pairs_and_mappings_alike(
    make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    pairs = [("Add.\n2 2", "4"), ("Q", ""), ("Say it.", "It.")]
    mappings = [
        {"instruction": "Add.", "input": "2 2", "output": "4"},
        {"instruction": "Q", "output": ""},
        {"instruction": "Say it.", "output": "It."},
    ]
    table = gradpipe.extract_spectra(model, tokenizer, pairs)
    assert_frame_equal(table, gradpipe.extract_spectra(model, tokenizer, mappings))
    assert table.drop_nulls("layer")["example"].unique().to_list() == [0, 2]
    assert table.drop_nulls("reason")["example"].to_list() == [1]
    paper = gradpipe.extract_spectra(model, tokenizer, pairs, "paper")
    assert_frame_equal(table, paper)


def test_a_notebook_without_examples_gets_the_empty_table(
    make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    full = gradpipe.extract_spectra(model, tokenizer, [("Q", "A")])
    assert gradpipe.extract_spectra(model, tokenizer, []).schema == full.schema
    assert gradpipe.extract_spectra(model, tokenizer, [("Q", "")]).schema == full.schema


def test_a_notebook_is_told_what_it_cannot_have(
    make_model: MakeModel, make_tokenizer: MakeTokenizer
) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "c"}]
    table = gradpipe.extract_spectra(model, tokenizer, rows)
    assert table.drop_nulls("reason").select("example", "reason").rows() == [
        (1, "the response is missing")
    ]
    with pytest.raises(DataError, match="No example can be used"):
        gradpipe.extract_spectra(model, tokenizer, [7])
    chat = make_protocol("standard", chat=True)
    with pytest.raises(ModelError, match="no chat template"):
        gradpipe.extract_spectra(model, tokenizer, [("Q", "A")], chat)
    with pytest.raises(DataError, match="longer than the window of 128 tokens"):
        gradpipe.extract_spectra(model, tokenizer, [("Q", "A" * 129)])
