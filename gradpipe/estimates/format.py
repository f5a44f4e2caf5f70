"""Format estimates as text."""

from __future__ import annotations

from datetime import timedelta

from gradpipe.estimates.hypothetical import GPUS, Bill
from gradpipe.estimates.model_shape import ModelShape

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def amount(value: float, unit: str) -> str:
    """Three digits and a prefix: 1.23e12 FLOP is ``1.23 TFLOP``."""
    step = 0
    while abs(value) >= 999.5 and step < len(_PREFIXES) - 1:
        value, step = value / 1000, step + 1
    text = f"{value:.0f}" if value >= 99.5 or step == 0 else f"{value:.3g}"
    return f"{text} {_PREFIXES[step]}{unit}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds; from a hundred days on, days."""
    days = seconds / 86400
    return f"{days:,.0f} days" if days >= 100 else f"{timedelta(seconds=round(seconds))}"


def bill_lines(shape: ModelShape, bill: Bill) -> list[tuple[str, str]]:
    """Format a hypothetical estimate as lines of label and amount."""
    setting, cost, memory, gpu = bill.setting, bill.cost, bill.memory, GPUS[bill.setting.gpu]
    each = memory.bytes / bill.gpus_per_copy
    copies = "1 copy" if bill.copies == 1 else f"{bill.copies} copies"
    spread = f"{copies} of the model, {bill.gpus_per_copy} GPUs per copy"
    return [
        ("tokens", f"{cost.tokens:,} ({cost.response_tokens:,} of responses)"),
        ("FLOPs, passes", f"{amount(cost.passes, 'FLOP')} in {setting.dtype}"),
        ("FLOPs, spectra", f"{amount(cost.spectra, 'FLOP')} in float64"),
        ("FLOPs, cosines", f"{amount(cost.comparisons, 'FLOP')} in {setting.dtype}"),
        (
            "GPU-hours",
            f"{bill.gpu_hours:,.3g}" if bill.gpu_hours < 10 else f"{bill.gpu_hours:,.0f}",
        ),
        ("wall time", f"{duration(bill.hours * 3600)} ({spread})"),
        ("memory per GPU", f"{amount(each, 'B')} of {amount(gpu.memory, 'B')}"),
        (
            "memory per copy",
            f"weights {amount(memory.weights, 'B')}, activations "
            f"{amount(memory.activations, 'B')}, spectra {amount(memory.spectra, 'B')}",
        ),
        ("disk", amount(cost.disk, "B")),
    ]


def assumptions(shape: ModelShape, bill: Bill) -> list[str]:
    """Return the assumptions of a hypothetical estimate, one sentence per assumption."""
    setting, gpu = bill.setting, GPUS[bill.setting.gpu]
    idle = (
        [f"A copy spread over {bill.gpus_per_copy} GPUs computes on one of them at a time."]
        if bill.gpus_per_copy > 1
        else []
    )
    return [
        f"The model has {shape.weights / 1e9:.3g} billion weights: {shape.layers} layers of "
        f"{shape.hidden}.",
        f"{setting.examples:,} examples of {setting.tokens} tokens, of which "
        f"{setting.response_tokens} are the response; projections "
        f"{', '.join(setting.projections)}.",
        f"{gpu.name}: {gpu.peak(setting.dtype):g} TFLOP/s in {setting.dtype}, {gpu.double:g} in "
        f"float64, {amount(gpu.memory, 'B')} (the vendor's data sheet).",
        f"Passes and cosines reach {setting.utilization:.0%} of that peak, spectra "
        f"{setting.spectra_utilization:.0%} of the float64 peak; neither is measured.",
        "The forward and the backward pass take two FLOPs per weight and token each.",
        f"Batches of {bill.batch_tokens} tokens without padding; loading and storing are not "
        "included.",
        *idle,
    ]
