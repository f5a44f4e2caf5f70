"""The costs per model and benchmark: by formula, and by calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradpipe.estimates.calibration import Calibration, Work, calibrate
from gradpipe.estimates.costs import FILE_BYTES, cost_of
from gradpipe.estimates.memory import memory_of
from gradpipe.estimates.model_shape import ModelShape
from gradpipe.gradients.passes.batches import ACCELERATOR_BUDGET
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel


@dataclass(frozen=True)
class Price:
    """What one list of rows costs: FLOPs, bytes of memory while it runs, bytes of disk, seconds.

    ``seconds`` is None without a calibration.
    """

    flops: float
    memory: float
    disk: float
    seconds: float | None


def prices(
    shape: ModelShape,
    protocol: Protocol,
    lists: Sequence[list[TokenRow]],
    checkpointing: bool = False,
    loaded: LoadedModel | None = None,
) -> list[Price]:
    """The price of each list of rows, each an extraction of its own.

    ``loaded``: run a few of its batches to find the time; None: by formula only.
    """
    from gradpipe.models.devices import best_device

    on_cpu = (loaded.device if loaded else best_device()).startswith("cpu")
    work = Work(shape, protocol, lists, checkpointing, on_cpu)
    calibration = calibrate(loaded, work) if loaded else None
    found = work.seconds(calibration) if calibration else [None] * len(lists)
    return [
        _price(
            work,
            rows,
            calibration,
            calibration.budget if calibration else ACCELERATOR_BUDGET,
            taken,
            on_cpu,
        )
        for rows, taken in zip(work.lists, found, strict=True)
    ]


def _price(
    work: Work,
    rows: list[TokenRow],
    calibration: Calibration | None,
    budget: int,
    seconds: float | None,
    on_cpu: bool,
) -> Price:
    lengths = [(len(row.ids), row.response_tokens) for row in rows]
    if not lengths:
        return Price(0.0, 0.0, 0.0, seconds and 0.0)
    cost = cost_of(work.shape, lengths, work.protocol.projections, work.checkpointing)
    batches = work.batches(rows, budget)
    memory = memory_of(
        work.shape,
        work.protocol.dtype,
        max(len(batch) * len(batch[-1].ids) for batch in batches),
        max(tokens for tokens, _ in lengths),
        checkpointing=work.checkpointing,
        on_cpu=on_cpu,
        bytes_per_token=calibration.bytes_per_token if calibration else None,
    )
    return Price(cost.flops, memory.bytes, cost.disk + FILE_BYTES * len(batches), seconds)
