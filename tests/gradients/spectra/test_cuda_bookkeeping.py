"""Products of factors on a CUDA device stay there, in the right dtype: by tensors without data.

Tensors of two devices in one operation would raise an error here as on a GPU.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from gradpipe.gradients.spectra.eigen_strategies import eigenvalues
from gradpipe.gradients.spectra.inner_products import (
    Gradient,
    layer_gradients,
    next_layer_products,
    same_layer_products,
)
from gradpipe.gradients.spectra.matmul import outer, ready
from gradpipe.gradients.spectra.sketches import Sketcher
from gradpipe.gradients.spectra.spectrum import Inputs, _core

CUDA = torch.device("cuda:0")
#: Few tokens: writing into a part of a tensor, as products in blocks do, needs a GPU after all.
ROWS, TOKENS = 2, 150
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@pytest.fixture(autouse=True)
def without_data() -> Iterator[None]:
    with FakeTensorMode():
        yield


def factor(width: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(ROWS, TOKENS, width, device=CUDA, dtype=dtype)


def gradients(dtype: torch.dtype) -> dict[str, Gradient]:
    widths = {"q": 64, "k": 32, "v": 32}
    groups = [
        (ready(factor(64, dtype)), {name: factor(width, dtype) for name, width in widths.items()}),
        (ready(factor(64, dtype)), {"o": factor(64, dtype)}),
    ]
    return layer_gradients(groups)


@DTYPES
def test_products_of_factors_are_in_single_precision(dtype: torch.dtype) -> None:
    product = outer(ready(factor(64, dtype)), ready(factor(64, dtype)))
    assert (product.device, product.dtype) == (CUDA, torch.float32)
    assert product.shape == (ROWS, TOKENS, TOKENS)


@DTYPES
def test_matrices_of_eigenvalues_are_in_double_precision(dtype: torch.dtype) -> None:
    inputs = Inputs(factor(1024, dtype).double())
    core, squared_norms = _core(inputs, factor(32, dtype).double())
    for found in (core, squared_norms, eigenvalues(core)):
        assert (found.device, found.dtype) == (CUDA, torch.float64)
    assert core.shape == (ROWS, 32, 32)


@DTYPES
def test_comparisons_and_sketches_stay_on_the_device(dtype: torch.dtype) -> None:
    layer, above = gradients(dtype), gradients(dtype)
    results = (
        same_layer_products(layer),
        next_layer_products(layer, above),
        Sketcher(kept=True).sketches(layer),
    )
    for found in results:
        assert found
        assert {values.device for values in found.values()} == {CUDA}
        assert {len(values) for values in found.values()} == {ROWS}
