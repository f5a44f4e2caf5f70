"""The costs per model and benchmark: by formula, and by calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradpipe.estimates.calibration import Calibration, Workload, calibrate
from gradpipe.estimates.costs import cost_of, file_bytes
from gradpipe.estimates.memory import memory_of
from gradpipe.estimates.model_shape import ModelShape
from gradpipe.gradients.passes.batches import ACCELERATOR_BUDGET
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.side_by_side import possible_batches
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import best_device
from gradpipe.models.load import LoadedModel


@dataclass(frozen=True)
class Price:
    """The cost of one list of rows: FLOPs, bytes of memory while it runs, bytes on disk, seconds.

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
    """The price of each list of rows; each list is one extraction.

    With a ``loaded`` model, a few of its batches are run to measure the time; without, prices come
    from formulas alone.
    """
    on_cpu = (loaded.device if loaded else best_device()).startswith("cpu")
    work = Workload(shape, protocol, lists, checkpointing, on_cpu)
    calibration = calibrate(loaded, work) if loaded else None
    times = work.seconds(calibration) if calibration else [None] * len(lists)
    return [
        _price(work, rows, calibration, seconds)
        for rows, seconds in zip(work.lists, times, strict=True)
    ]


def _price(
    work: Workload, rows: list[TokenRow], calibration: Calibration | None, seconds: float | None
) -> Price:
    lengths = [(len(row.ids), row.response_tokens) for row in rows]
    if not lengths:
        return Price(0.0, 0.0, 0.0, seconds and 0.0)
    cost = cost_of(work.shape, lengths, work.protocol.projections, work.checkpointing)
    batches = work.batches(rows, calibration.budget if calibration else ACCELERATOR_BUDGET)
    at_once = possible_batches() if work.on_cpu and not work.checkpointing else 1
    memory = memory_of(
        work.shape,
        work.protocol.dtype,
        sum(sorted(len(batch) * len(batch[-1].ids) for batch in batches)[-at_once:]),
        max(tokens for tokens, _ in lengths),
        checkpointing=work.checkpointing,
        on_cpu=work.on_cpu,
        bytes_per_token=calibration.bytes_per_token if calibration else None,
    )
    return Price(cost.flops, memory.bytes, cost.disk + file_bytes(len(batches), cost.disk), seconds)
