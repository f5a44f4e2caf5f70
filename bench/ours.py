"""The method ``ours``: gradpipe's extraction, run to the last frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from bench.bare import Batches
from bench.naive import Place
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from torch import Tensor

    from gradpipe.models.load import LoadedModel


def our_rows(
    loaded: LoadedModel, rows: list[TokenRow], budget: int | None = None, aligned: bool = True
) -> list[pl.DataFrame]:
    """All frames of an extraction; ``budget`` and ``aligned`` are those of ``extract_rows``."""
    settings: dict[str, Any] = {"budget": budget, "aligned": aligned}
    return list(extract_rows(loaded, rows, STANDARD, **settings))


def batches_of(frames: list[pl.DataFrame]) -> Batches:
    """The batches of an extraction, one per frame."""
    usable = [frame.filter(pl.col("reason").is_null())["row"].to_list() for frame in frames]
    return [batch for batch in usable if batch]


def nuclear_norms(frames: list[pl.DataFrame]) -> dict[tuple[int, int, str], float]:
    """The nuclear norm of every (row, layer, projection)."""
    matrices = explode_matrices(pl.concat(frames).lazy()).select(
        "row", "layer", "projection", pl.col("singular_values").list.sum()
    )
    return {(row, layer, name): norm for row, layer, name, norm in matrices.collect().iter_rows()}


def largest_difference(frames: list[pl.DataFrame], naive: dict[int, dict[Place, Tensor]]) -> float:
    """The largest relative difference of a nuclear norm from the naive method's.

    ``naive`` has singular values by row number. If both are right, the difference is the naive
    method's float32 noise, which its sum collects from singular values that should be zero.
    """
    ours = nuclear_norms(frames)
    return max(
        abs(ours[row, layer, name] / float(values.double().sum()) - 1)
        for row, spectra in naive.items()
        for (layer, name), values in spectra.items()
    )
