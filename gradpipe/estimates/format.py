"""Format estimates as text."""

from __future__ import annotations

from gradpipe.estimates.hypothetical import GPUS, Bill
from gradpipe.estimates.model_shape import ModelShape
from gradpipe.system.units import format_amount, format_duration


def bill_lines(shape: ModelShape, bill: Bill) -> list[tuple[str, str]]:
    """Format a hypothetical estimate as lines of label and amount."""
    setting, cost, memory, gpu = bill.setting, bill.cost, bill.memory, GPUS[bill.setting.gpu]
    each = memory.bytes / bill.gpus_per_copy
    copies = "1 copy" if bill.copies == 1 else f"{bill.copies} copies"
    spread = f"{copies} of the model, {bill.gpus_per_copy} GPUs per copy"
    return [
        ("tokens", f"{cost.tokens:,} ({cost.response_tokens:,} of responses)"),
        ("FLOPs, passes", f"{format_amount(cost.passes, 'FLOP')} in {setting.dtype}"),
        ("FLOPs, spectra", f"{format_amount(cost.spectra, 'FLOP')} in float64"),
        ("FLOPs, cosines", f"{format_amount(cost.comparisons, 'FLOP')} in {setting.dtype}"),
        (
            "GPU-hours",
            f"{bill.gpu_hours:,.3g}" if bill.gpu_hours < 10 else f"{bill.gpu_hours:,.0f}",
        ),
        ("wall time", f"{format_duration(bill.hours * 3600)} ({spread})"),
        ("memory per GPU", f"{format_amount(each, 'B')} of {format_amount(gpu.memory, 'B')}"),
        (
            "memory per copy",
            f"weights {format_amount(memory.weights, 'B')}, activations "
            f"{format_amount(memory.activations, 'B')}, spectra "
            f"{format_amount(memory.spectra, 'B')}",
        ),
        ("disk", format_amount(cost.disk, "B")),
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
        f"float64, {format_amount(gpu.memory, 'B')} (the vendor's data sheet).",
        f"Passes and cosines reach {setting.utilization:.0%} of that peak, spectra "
        f"{setting.spectra_utilization:.0%} of the float64 peak; neither is measured.",
        "The forward and the backward pass take two FLOPs per weight and token each.",
        f"Batches of {bill.batch_tokens} tokens without padding; loading and storing are not "
        "included.",
        *idle,
    ]
