"""The jobs of a layer: spectra of projections that read the same X, and comparisons."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gradpipe.gradients.spectra.head_spectra import head_parts
from gradpipe.gradients.spectra.inner_products import (
    Gradient,
    LayerAlignment,
    layer_gradients,
    next_layer_products,
    same_layer_products,
)
from gradpipe.gradients.spectra.matmul import ready
from gradpipe.gradients.spectra.sketches import Sketcher
from gradpipe.gradients.spectra.spectrum import Spectrum, spectra_of_gradients

#: The factors of one layer by projection: X [rows, T, d_in] and D [rows, T, d_out].
LayerFactors = dict[str, tuple[Tensor, Tensor]]
#: The spectra of some rows, by projection.
RowSpectra = dict[str, list[Spectrum]]
#: Each X of a layer with the D of every projection that reads it.
Groups = list[tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True, kw_only=True)
class SpectraJob:
    """Computes spectra of one layer's projections that read the same X [n, T, d_in].

    The rows are those from ``start`` on. ``heads`` are the numbers of attention heads whose spectra
    are wanted, too.
    """

    layer: int
    start: int
    x: Tensor
    ds: dict[str, Tensor]
    heads: dict[str, int] = field(default_factory=dict)

    def __call__(self) -> RowSpectra:
        """Compute the spectra on the calling thread."""
        x = _on_float64_device(self.x)
        ds = {name: _on_float64_device(d) for name, d in self.ds.items()}
        rows = {name: spectra.rows() for name, spectra in spectra_of_gradients(x, ds).items()}
        for name in self.heads.keys() & ds.keys():
            parts = head_parts(name, x, ds[name], self.heads[name])
            pairs = zip(rows[name], parts, strict=True)
            rows[name] = [replace(spectrum, heads=heads) for spectrum, heads in pairs]
        return rows


@dataclass
class Handover:
    """Gradients that a layer's comparison leaves for the comparison of the layer below."""

    layer: int
    done: Future[LayerAlignment] | None = None
    gradients: dict[str, Gradient] | None = None


@dataclass(kw_only=True)
class ComparisonJob:
    """Compares and sketches a layer's gradients, for rows from ``start`` on.

    ``above`` is the handover of the layer above, whose job must be submitted earlier; None for the
    last layer. ``lengths`` are the rows' numbers of tokens.
    """

    layer: int
    start: int
    lengths: list[int]
    groups: Groups
    sketcher: Sketcher
    above: Handover | None
    below: Handover
    #: Gradients of the layer above, kept alive until the device has finished with them.
    above_gradients: dict[str, Gradient] = field(default_factory=dict)

    @property
    def x(self) -> Tensor:
        """The first inputs; all factors of the job are on their device."""
        return self.groups[0][0]

    def __call__(self) -> LayerAlignment:
        """Compute inner products and sketches on the calling thread."""
        self.groups = [
            (self._own_tokens(x), {name: ready(d) for name, d in ds.items()})
            for x, ds in self.groups
        ]
        gradients = layer_gradients(self.groups)
        sketches = self.sketcher.sketches(gradients)
        same_layer = same_layer_products(gradients)
        self._take_from_above()
        next_layer = next_layer_products(gradients, self.above_gradients)
        self.below.gradients = gradients
        return LayerAlignment(
            same_layer={name: products.tolist() for name, products in same_layer.items()},
            next_layer={name: products.tolist() for name, products in next_layer.items()},
            sketches={name: values.cpu().numpy() for name, values in sketches.items()},
        )

    def _take_from_above(self) -> None:
        """Wait for the job of the layer above and take its gradients out of the handover."""
        if self.above is None:
            return
        assert self.above.done is not None
        self.above.done.result()
        self.above_gradients, self.above.gradients = self.above.gradients or {}, None
        for gradient in self.above_gradients.values():
            gradient.move_to(self.x.device)

    def _own_tokens(self, x: Tensor) -> Tensor:
        """Return X with zeros at padding, whose D is zero: zero times infinity would be NaN."""
        x = ready(x)
        if min(self.lengths) == x.shape[1]:
            return x
        places = torch.arange(x.shape[1], device=x.device)
        own = places < torch.tensor(self.lengths, device=x.device)[:, None]
        return torch.where(own[:, :, None], x, 0.0)


def by_inputs(factors: LayerFactors) -> Groups:
    """Group a layer's factors by X: each X once, with the D of every projection that reads it."""
    shared: dict[tuple[int, tuple[int, ...]], tuple[Tensor, dict[str, Tensor]]] = {}
    for name, (x, d) in factors.items():
        shared.setdefault((x.data_ptr(), tuple(x.shape)), (x, {}))[1][name] = d
    return list(shared.values())


def _on_float64_device(tensor: Tensor) -> Tensor:
    # Apple's accelerator has no float64.
    return tensor.cpu() if tensor.device.type == "mps" else tensor
