"""Cost estimates for a model, examples and GPUs that need not exist on this machine.

The GPUs' peaks are those of the vendors' data sheets, dense and without sparsity: NVIDIA H100 SXM
(989 TFLOP/s in bfloat16, 67 in float32 and in float64 on tensor cores, 80 GB), H200 (the same with
141 GB), A100 SXM (312, 19.5, 19.5, 80 GB), L40S (362, 91.6, 1.4, 48 GB), RTX 4090 (165, 82.6, 1.3,
24 GB); AMD MI300X (1307, 163.4, 163.4, 192 GB).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from gradpipe.errors import GradpipeError, nearest
from gradpipe.estimates.costs import BYTES, Cost, cost_of, file_bytes
from gradpipe.estimates.memory import Memory, memory_of
from gradpipe.estimates.model_shape import ModelShape
from gradpipe.gradients.passes.batches import ACCELERATOR_BUDGET
from gradpipe.gradients.passes.limits import ACCELERATOR_SHARE, RESERVE


@dataclass(frozen=True)
class Gpu:
    """A GPU's peaks in TFLOP/s by precision, and its memory in bytes."""

    name: str
    half: float
    single: float
    double: float
    memory: float

    def peak(self, dtype: str) -> float:
        """TFLOP/s of matrix products in a precision."""
        return self.single if dtype == "float32" else self.half


GPUS = {
    "h100": Gpu("H100 SXM", 989, 67, 67, 80e9),
    "h200": Gpu("H200", 989, 67, 67, 141e9),
    "a100": Gpu("A100 SXM 80 GB", 312, 19.5, 19.5, 80e9),
    "l40s": Gpu("L40S", 362, 91.6, 1.4, 48e9),
    "rtx4090": Gpu("RTX 4090", 165, 82.6, 1.3, 24e9),
    "mi300x": Gpu("MI300X", 1307, 163.4, 163.4, 192e9),
}


@dataclass(frozen=True)
class Setting:
    """The work to compute, its hardware, and the utilization of that hardware.

    ``tokens`` and ``response_tokens`` are counts per example. ``utilization`` is the share of the
    GPU's peak that passes reach, ``spectra_utilization`` the share of its float64 peak that spectra
    reach.
    """

    examples: int
    tokens: int
    response_tokens: int
    gpus: int = 1
    gpu: str = "h100"
    dtype: str = "bfloat16"
    projections: tuple[str, ...] = ("q", "k", "v", "o")
    checkpointing: bool = False
    utilization: float = 0.4
    spectra_utilization: float = 0.1

    def __post_init__(self) -> None:
        if self.gpu not in GPUS:
            raise GradpipeError(f"There is no GPU {self.gpu!r}: {nearest(self.gpu, list(GPUS))}")
        if self.dtype not in BYTES:
            raise GradpipeError(
                f"There is no dtype {self.dtype!r}: {nearest(self.dtype, [*BYTES])}"
            )
        if not 0 < self.response_tokens <= self.tokens:
            raise GradpipeError(
                f"--response-tokens is {self.response_tokens}, but an example has {self.tokens} "
                "tokens: give a number from 1 to --tokens."
            )


#: The keys of the JSON record whose fields have other names here.
JSON_KEYS = {
    "gpus_per_copy": "gpus_a_copy",
    "utilization": "utilisation",
    "spectra_utilization": "spectra_utilisation",
}


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The cost of a setting.

    ``memory`` is that of one copy of the model, which ``gpus_per_copy`` GPUs hold together;
    ``gpu_hours`` are summed over all GPUs, ``hours`` are wall time; ``cost`` has the disk space.
    """

    setting: Setting
    cost: Cost
    memory: Memory
    batch_tokens: int
    gpus_per_copy: int
    copies: int
    gpu_hours: float
    hours: float

    def record(self) -> dict[str, Any]:
        """The bill as JSON holds it, in FLOPs, hours and bytes; some keys are JSON_KEYS."""
        fields = asdict(self)
        setting = fields.pop("setting")
        return {
            "setting": {JSON_KEYS.get(name, name): value for name, value in setting.items()},
            **{JSON_KEYS.get(name, name): value for name, value in fields.items()},
            "flops": self.cost.flops,
            "memory_bytes_a_gpu": self.memory.bytes / self.gpus_per_copy,
        }


def hypothetical_bill(shape: ModelShape, setting: Setting) -> Bill:
    """Estimate the cost of a setting; raises GradpipeError if the GPUs cannot hold one copy."""
    gpu = GPUS[setting.gpu]
    one = cost_of(
        shape,
        [(setting.tokens, setting.response_tokens)],
        setting.projections,
        setting.checkpointing,
    )
    gpus, batch_tokens, memory = _layout(shape, setting, gpu)
    copies = max(1, setting.gpus // gpus)
    cost = one.times(setting.examples)
    batches = math.ceil(setting.examples * setting.tokens / batch_tokens)
    cost += Cost(disk=file_bytes(batches, cost.disk))
    # A model over several GPUs computes on one of them at a time.
    seconds = cost.passes + cost.comparisons
    seconds /= gpu.peak(setting.dtype) * 1e12 * setting.utilization
    seconds += cost.spectra / (gpu.double * 1e12 * setting.spectra_utilization)
    hours = seconds / 3600 / copies
    return Bill(
        setting=setting,
        cost=cost,
        memory=memory,
        batch_tokens=batch_tokens,
        gpus_per_copy=gpus,
        copies=copies,
        gpu_hours=hours * gpus * copies,
        hours=hours,
    )


def _layout(shape: ModelShape, setting: Setting, gpu: Gpu) -> tuple[int, int, Memory]:
    """The GPUs per copy, the padded tokens of a batch, and the memory of both.

    A copy takes the fewest GPUs on which one text fits; a batch uses the remaining memory, as in an
    extraction.
    """
    for gpus in range(1, setting.gpus + 1):
        most = ACCELERATOR_BUDGET
        while most >= 1:
            rows = most // setting.tokens
            tokens = max(1, rows) * setting.tokens
            memory = memory_of(
                shape,
                setting.dtype,
                tokens,
                setting.tokens,
                checkpointing=setting.checkpointing,
                on_cpu=False,
            )
            free = gpus * gpu.memory - memory.weights
            if memory.activations <= ACCELERATOR_SHARE * free - RESERVE:
                return gpus, tokens, memory
            if rows <= 1:
                break
            most = (rows - 1) * setting.tokens
    weights = shape.weights * BYTES[setting.dtype] / 1e9
    raise GradpipeError(
        f"{setting.gpus} × {gpu.name} cannot hold the model ({weights:.0f} GB of weights) and one "
        f"text of {setting.tokens} tokens: raise --gpus, choose another --gpu or a smaller "
        "--dtype, or add --gradient-checkpointing."
    )
