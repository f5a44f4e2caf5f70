"""Spectra of single attention heads: of the rows of a head in the gradients of Q, K and V.

O reads the heads' outputs, so a head's part of its gradient are columns: those of its inputs.
"""

from __future__ import annotations

from torch import Tensor

from gradpipe.gradients.spectra.spectrum import HeadPart, spectra_of_gradients


def head_parts(name: str, x: Tensor, d: Tensor, heads: int) -> list[tuple[HeadPart, ...]]:
    """The parts of all ``heads`` of one projection, for each of R texts.

    ``x`` [R, T, d_in] and ``d`` [R, T, d_out] are its factors. The heads' columns of D, or of X for
    ``o`` and ``cross_o``, lie side by side and are equally many. A spectrum has as many values as
    the smaller side.
    """
    # Of the transpose, which has the same singular values: all heads then share one factor.
    shared, split = (d, x) if name in ("o", "cross_o") else (x, d)
    parts = dict(enumerate(split.detach().unflatten(2, (heads, -1)).unbind(2)))
    spectra = spectra_of_gradients(shared, {str(head): part for head, part in parts.items()})
    by_head = [spectra[str(head)].rows() for head in parts]
    return [
        tuple(
            HeadPart(head, spectrum.squared_norm**0.5, spectrum.singular_values)
            for head, spectrum in enumerate(row)
        )
        for row in zip(*by_head, strict=True)
    ]
