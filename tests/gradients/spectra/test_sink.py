"""A model that breaks what the factors rest on is refused, never counted wrong in silence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradpipe.errors import ModelError
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.run_batch import RowGradients, run_batch
from gradpipe.gradients.spectra.workers import spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import find_projections
from tests.gradients.twins import Attention, Decoder


class SharesKeys(Decoder):
    """Its last layer reads the keys of the one before, and leaves its own unused."""

    def through(self, x: Tensor) -> Tensor:
        for block in self.blocks[:-1]:
            x, keys = block(x)
        return self.blocks[-1](x, keys)[0]


class Recurrent(Decoder):
    """Goes through its layers twice."""

    def through(self, x: Tensor) -> Tensor:
        return super().through(super().through(x))


class TwoTowers(Decoder):
    """Has a second tower, of more layers, that text does not pass."""

    def __init__(self) -> None:
        super().__init__()
        self.vision_tower_of_many_layers = nn.ModuleList(Attention() for _ in range(5))


def run(model: Any, rows: list[TokenRow]) -> list[RowGradients]:
    with frozen(model), spectra_pool("cpu") as pool:
        return run_batch(model, find_projections(model), rows, pool)


ROW = TokenRow([3, 9, 4, 7, 5, 3, 8], 3, False)


def test_a_decoder_of_no_library_gives_the_gradients_of_autograd() -> None:
    model = Decoder().double()
    [found] = run(model, [ROW])
    logits = model(torch.tensor([ROW.ids])).logits[0]
    nn.functional.cross_entropy(logits[2:-1], torch.tensor(ROW.ids[3:])).backward()
    for layer, block in enumerate(model.blocks):
        for name in "qkvo":
            expected = torch.linalg.svdvals(getattr(block, f"w{name}").weight.grad)
            values = found.spectra[layer, name].singular_values
            assert float(values.sum()) == pytest.approx(float(expected.sum()), rel=1e-7)


@pytest.mark.parametrize("model", [SharesKeys, TwoTowers])
def test_a_projection_that_the_loss_does_not_reach_is_an_error(model: type[Decoder]) -> None:
    with pytest.raises(ModelError, match="does not depend on every projection of layer"):
        run(model(), [ROW])


def test_a_layer_that_is_used_twice_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"calls blocks\.2\.w. more than once"):
        run(Recurrent(), [ROW])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", ["phi3", "gpt2"])
def test_a_fused_layer_side_by_side_is_taken_apart_in_every_precision(
    family: str,
    dtype: torch.dtype,
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    for found in run(make_model(family, dtype), make_rows((12, 6), (30, 1), (7, 2))):
        assert found.fault is None
        assert len(found.spectra) == 8


def test_a_single_token_of_response_gives_gradients_of_rank_one() -> None:
    [found] = run(Decoder().double(), [TokenRow([3, 9], 1, False)])
    assert found.fault is None
    # The only query sees one key: attention cannot change, whatever query and key are.
    assert found.spectra[0, "q"].squared_norm == 0
    assert found.spectra[0, "k"].squared_norm == 0
    values = found.spectra[0, "v"].singular_values
    assert len(values) == 1
    assert float(values[0]) > 0
