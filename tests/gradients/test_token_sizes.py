"""The sizes of tokens' gradients equal those of outer products taken by ordinary autograd."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from gradpipe.conversations.spans import TokenSpan
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices, explode_spans
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
#: Rows that share a padded batch: their tokens and where the response starts.
SHAPES = ((30, 12), (29, 3), (28, 27))
#: The names of the layers of a family's projections inside its attention.
USUAL = {name: f"{name}_proj" for name in "qkvo"}
PATHS = {
    "llama": USUAL,
    "qwen3": USUAL,
    "olmo2": USUAL,
    "qwen2_moe": USUAL,
    "opt": USUAL | {"o": "out_proj"},
    "gpt_neox": {"o": "attention.dense"},
}
#: Softmax of the router in float32.
TOLERANCE = {"qwen2_moe": 1e-5}
#: Σ‖gₜ‖, Σ‖gₜ‖² and ‖Σ gₜ‖ by layer and projection.
Sizes = dict[tuple[int, str], tuple[float, float, float]]


def twin(family: str, model: Any, row: TokenRow, positions: tuple[int, ...]) -> Sizes:
    """The outer product of every position, in full, by hooks; their sum is the weight's gradient.

    The loss is that of the tokens at ``positions``, over the number of the row's loss tokens.
    """
    model.requires_grad_(True)
    model.zero_grad()
    inputs: dict[nn.Module, Tensor] = {}
    gradients: dict[nn.Module, Tensor] = {}
    modules = {
        (int(path.split(".layers.")[1].split(".")[0]), name): module
        for path, module in model.named_modules()
        for name, ending in PATHS[family].items()
        if path.endswith(ending)
    }
    handles = []
    for module in modules.values():
        handles += [
            module.register_forward_hook(lambda m, given, _: inputs.update({m: given[0].detach()})),
            module.register_full_backward_hook(lambda m, _, out: gradients.update({m: out[0]})),
        ]
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    targets = torch.tensor(row.ids)[list(positions)]
    losses = nn.functional.cross_entropy(
        logits[[p - 1 for p in positions]], targets, reduction="sum"
    )
    (losses / len(row.positions)).backward()
    for handle in handles:
        handle.remove()
    sizes: Sizes = {}
    for place, module in modules.items():
        x, d = (values.reshape(len(row.ids), -1) for values in (inputs[module], gradients[module]))
        terms = torch.einsum("to,ti->toi", d, x)
        torch.testing.assert_close(terms.sum(0), module.weight.grad, rtol=1e-6, atol=1e-12)
        norms = terms.flatten(1).norm(dim=1)
        whole = float(module.weight.grad.norm())
        sizes[place] = float(norms.sum()), float(norms.square().sum()), whole
    return sizes


def divided(row: TokenRow, count: int) -> TokenRow:
    """A row whose loss positions take turns in belonging to one of its spans."""
    positions = tuple(row.positions)
    named = (TokenSpan(f"s{n}", positions[n::count]) for n in range(count))
    return replace(row, spans=tuple(named))


def extract(model: Any, rows: list[TokenRow]) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    return pl.concat(extract_rows(loaded, rows, STANDARD)).sort("row")


def sizes_of(matrices: pl.DataFrame) -> dict[tuple[int, str], list[float]]:
    names = ("layer", "projection", "token_norms", "token_energy", "frobenius_norm")
    return {(layer, name): numbers for layer, name, *numbers in matrices.select(names).iter_rows()}


@pytest.mark.parametrize("family", PATHS)
def test_rows_and_their_spans_have_the_sizes_of_full_outer_products(
    family: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model(family, torch.float64)
    rows = [divided(make_rows(SHAPES[0])[0], 2), *make_rows(*SHAPES[1:])]
    table = extract(model, rows)
    whole, spans = (
        explode(table.lazy()).collect() for explode in (explode_matrices, explode_spans)
    )
    places = twin(family, model, rows[0], tuple(rows[0].positions)).keys()
    assert {name for _, name in places} == set(PATHS[family])
    parts = [(whole.filter(row=n), row, tuple(row.positions)) for n, row in enumerate(rows)]
    parts += [(spans.filter(span=span.name), rows[0], span.positions) for span in rows[0].spans]
    for matrices, row, positions in parts:
        found, expected = sizes_of(matrices), twin(family, model, row, positions)
        for place in places:
            rel = TOLERANCE.get(family, 1e-8)
            assert found[place] == pytest.approx(expected[place], rel=rel), place


def test_no_gradient_is_larger_than_the_sum_of_its_tokens(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    matrices = explode_matrices(extract(make_model("llama"), make_rows(*SHAPES)).lazy()).collect()
    shares = (matrices["frobenius_norm"] / matrices["token_norms"]).to_numpy()
    assert np.all((shares > 0) & (shares <= 1 + 1e-12))
    # At the last queries and outputs, only the token that predicts a loss token has a gradient. The
    # response of the last row is one token.
    last = (pl.col("layer") == matrices["layer"].max()) & pl.col("projection").is_in(["q", "o"])
    single = (pl.col("row") == 2) & last
    assert matrices.filter(single).height == 2
    assert np.all(np.isclose(shares, 1) == matrices.select(single).to_series().to_numpy())


def test_a_split_by_position_is_another_than_that_by_loss_token(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    (row,) = make_rows((20, 14))
    table = extract(make_model("llama", torch.float64), [divided(row, row.response_tokens)])
    by_position = explode_matrices(table.lazy()).select("layer", "projection", "token_norms")
    by_loss_token = (
        explode_spans(table.lazy())
        .group_by("layer", "projection")
        .agg(pl.col("frobenius_norm").sum().alias("by_loss_token"), pl.len().alias("tokens"))
    )
    both = by_position.join(by_loss_token, on=["layer", "projection"]).collect()
    assert both["tokens"].unique().to_list() == [row.response_tokens]
    last = pl.col("layer") == both["layer"].max()
    # In the last layer, a loss token reaches one query; keys and earlier layers are shared.
    queries = both.filter(last & (pl.col("projection") == "q"))
    assert queries["token_norms"].item() == pytest.approx(queries["by_loss_token"].item(), rel=1e-9)
    others = both.filter(~(last & pl.col("projection").is_in(["q", "o"])))
    assert ((others["token_norms"] / others["by_loss_token"] - 1).abs() > 1e-3).all()
