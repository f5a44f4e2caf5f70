"""Numbers that are not finite: the row is named with the place, and its neighbours are spared."""

import logging
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from gradpipe.errors import ModelError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.loop import BatchLoop
from gradpipe.gradients.passes.nonfinite import broken_weight
from gradpipe.gradients.protocol import STANDARD, make_protocol
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
#: A token that few rows have.
RARE = 2


def extract(
    model: Any, rows: list[TokenRow], budget: int | None = None, checkpointing: bool = False
) -> pl.DataFrame:
    loaded = LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,
        device="cpu",
        checkpointing=checkpointing,
    )  # type: ignore[arg-type]
    return pl.concat(extract_rows(loaded, rows, STANDARD, budget=budget)).sort("row")


def poison(model: nn.Module, path: str, value: float, entry: int | None = None) -> None:
    weight = model.get_parameter(path).detach()
    if entry is None:
        weight.fill_(value)
    else:
        weight.view(-1)[entry] = value


def assert_as_alone(table: pl.DataFrame, row: int, model: Any, of: TokenRow) -> None:
    """The row of a batch has the numbers that it has by itself."""
    alone = extract(model, [of])
    assert table["reason"][row] is None
    assert table["loss"][row] == pytest.approx(alone["loss"].item(), rel=1e-5)
    found, expected = (
        explode_matrices(each.lazy()).sort("layer", "projection").collect()
        for each in (table[[row]], alone)
    )
    assert found.height == expected.height > 0
    pairs = zip(found["singular_values"], expected["singular_values"], strict=True)
    for values, wanted in pairs:
        width = max(len(values), len(wanted))
        padded = [np.pad(each, (0, width - len(each))) for each in (values, wanted)]
        np.testing.assert_allclose(*padded, rtol=1e-5, atol=1e-5 * wanted[0])
    for name in ("frobenius_norm", "next_layer_cosine"):
        np.testing.assert_allclose(
            found[name].cast(float), expected[name].cast(float), rtol=1e-4, atol=1e-6
        )
    sketches = (np.array(each["sketch"].to_list(), dtype=float) for each in (found, expected))
    np.testing.assert_allclose(*sketches, atol=0.005)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
@pytest.mark.parametrize("entry", [None, 5], ids=["all of it", "one number"])
@pytest.mark.parametrize(
    "path",
    [
        "model.layers.1.self_attn.q_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.2.input_layernorm.weight",
        "model.norm.weight",
    ],
)
def test_a_weight_that_is_not_finite_is_named_in_every_rows_reason(
    path: str, entry: int | None, value: float, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    poison(model, path, value, entry)
    numbers = model.get_parameter(path).numel()
    table = extract(model, make_rows((9, 4), (12, 5), (12, 3)))
    assert table["row"].to_list() == [0, 1, 2]
    for reason in table["reason"]:
        # Attention takes scores that are not finite for none, so that the loss may be finite.
        assert re.match(r"the loss is not finite \(|layer 1 v: a gradient is not finite", reason)
        count = 1 if entry is not None else numbers
        assert reason.endswith(f": {count} of {numbers} numbers in {path} are not finite")
    assert table["matrices"].list.len().to_list() == [0, 0, 0]


def test_a_head_that_is_not_finite_is_named_where_the_loss_is_not_and_where_it_is(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, [row] = make_model("llama"), make_rows((9, 8))
    clause = ": 1 of 8640 numbers in lm_head.weight are not finite"
    with torch.no_grad():
        last = model.model(input_ids=torch.tensor([row.ids])).last_hidden_state[0, 7]
    # A word that cannot be: no part of the loss, which stays finite, and no gradient.
    poison(model, "lm_head.weight", -math.inf * float(last[0].sign()), RARE * 32)
    table = extract(model, [row])
    assert table["reason"].item() == "layer 2 o: a gradient is not finite" + clause
    assert math.isfinite(table["loss"].item())
    poison(model, "lm_head.weight", math.nan, RARE * 32)
    assert extract(model, [row])["reason"].item() == "the loss is not finite (nan)" + clause


def test_a_word_that_a_bias_rules_out_is_no_fault(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model("phi"), make_rows((9, 4), (12, 5))
    poison(model, "lm_head.bias", -math.inf, RARE)
    assert extract(model, rows)["reason"].to_list() == [None, None]


def test_tokens_whose_embedding_is_not_finite_spoil_their_own_rows_only(
    make_model: MakeModel, make_rows: MakeRows, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model("llama")
    rows = make_rows((20, 5), (18, 5), (19, 3), (20, 10), (18, 12), (7, 2))
    for number, position in ((1, 3), (4, 15)):
        rows[number].ids[position] = RARE
    model.get_input_embeddings().weight.detach()[RARE] = math.inf
    with caplog.at_level(logging.WARNING, logger="gradpipe"):
        table = extract(model, rows, budget=1024)
    for number in (1, 4):
        reason = table["reason"][number]
        assert reason.endswith(": 32 of 8640 numbers in model.embed_tokens.weight are not finite")
    for number in (0, 2, 3, 5):
        assert_as_alone(table, number, model, rows[number])
    # Said once, when the first is met: of a model that is broken it is known in time.
    [line] = caplog.messages
    assert line.startswith("a row is unusable: the loss is not finite (")


@pytest.mark.parametrize("family", ["llama", "mistral", "mixtral", "gpt_neox"])
def test_padding_brings_no_row_into_contact_with_a_broken_token(
    family: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model(family), make_rows((20, 5), (18, 5), (19, 3))
    for token in range(3):
        model.get_input_embeddings().weight.detach()[token] = math.nan
    table = extract(model, rows, budget=1024)
    assert table["reason"].to_list() == [None] * 3
    for number, row in enumerate(rows):
        assert_as_alone(table, number, model, row)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_that_overflow_are_named_by_the_module_that_made_them(
    checkpointing: bool, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model("llama"), make_rows((20, 5), (20, 9), (20, 7))
    rows[1].ids[2] = RARE
    path = "model.layers.1.mlp.down_proj"
    rare = torch.zeros((), dtype=torch.bool)

    def look(_module: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
        nonlocal rare
        rare = (inputs[0] == RARE).any(1)[:, None, None]

    def overflow(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output.masked_fill(rare, math.inf)

    model.get_input_embeddings().register_forward_hook(look)
    model.get_submodule(path).register_forward_hook(overflow)
    table = extract(model, rows, budget=1024, checkpointing=checkpointing)
    reason = table["reason"][1]
    assert reason == f"the loss is not finite (nan): the output of {path} is not finite"
    for number in (0, 2):
        assert_as_alone(table, number, model, rows[number])


@pytest.mark.parametrize(("layer", "name"), [(0, "q"), (1, "v"), (2, "o")])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_gradient_of_one_row_is_named_by_layer_and_projection(
    layer: int, name: str, value: float, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model("llama"), make_rows((20, 5), (20, 9), (20, 7))
    module = model.model.layers[layer].self_attn.get_submodule(f"{name}_proj")

    def spoil(_module: nn.Module, gradients: tuple[Tensor]) -> tuple[Tensor]:
        found = gradients[0].clone()
        found[1] *= value
        return (found,)

    # A leaf of the graph hears of it before the projection's own factors are taken.
    hook = module.register_full_backward_pre_hook(spoil)
    table = extract(model, rows, budget=1024)
    hook.remove()
    assert table["reason"][1] == f"layer {layer} {name}: a gradient is not finite"
    assert table["loss"].is_finite().all()
    assert table["matrices"].list.len().to_list() == [12, 0, 12]
    for number in (0, 2):
        assert_as_alone(table, number, model, rows[number])


def test_gradients_beyond_the_precision_of_the_model_are_named(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama", torch.float16)
    model.get_parameter("model.layers.1.mlp.up_proj.weight").detach().mul_(3e4)
    table = extract(model, make_rows((9, 4), (12, 5)))
    for reason in table["reason"]:
        assert reason.startswith("the loss is not finite (nan): the output of model.layers.1.mlp.")
        assert reason.endswith("_proj is not finite")


def test_a_model_that_gives_nothing_but_nan_is_not_taken_backward(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model("llama"), make_rows(*[(20, 5)] * 40)
    poison(model, "model.norm.weight", math.nan)
    reached: list[int] = []
    model.model.layers[2].register_full_backward_hook(lambda *_: reached.append(1))
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    batches = BatchLoop(loaded, find_projections(model), rows)
    done = list(batches.run())
    assert sum(len(each.batch.rows) for each in done) == 40
    assert not reached
    # What a token takes of memory is still to be measured.
    assert not batches.measured


def test_layers_that_cannot_be_told_apart_for_a_broken_weight_are_refused_with_its_name(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("falcon grouped")
    assert broken_weight(model) is None
    poison(model, "transformer.h.0.ln_attn.weight", math.nan, 3)
    with pytest.raises(ModelError, match=r"since 1 of 32 numbers in transformer\.h\.0"):
        extract(model, make_rows((9, 4)))
    # A model that is whole is told what is wrong with it, as ever.
    loaded = LoadedModel(
        name="tiny", fingerprint="", model=make_model("llama"), tokenizer=None, device="cpu"
    )  # type: ignore[arg-type]
    missing = make_protocol(layer_names={"q": "attn.wq"})
    with pytest.raises(ModelError, match="no linear layer 'attn.wq'"):
        next(extract_rows(loaded, make_rows((9, 4)), missing))
