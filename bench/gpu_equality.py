"""Section (a): the spectra from the device equal those from the CPU."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.gpu_models import ZOO, moved, random_rows, vocabulary_of, zoo_model
from bench.gpu_runner import GpuOptions, Record, Step
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import explode_layers, explode_matrices
from gradpipe.models.load import load_model
from gradpipe.models.source import resolve_model

if TYPE_CHECKING:
    from gradpipe.gradients.tokens import TokenRow
    from gradpipe.models.load import LoadedModel

DTYPES = ("float32", "bfloat16")
TINY_ZOO = ("llama", "gpt2", "mixtral, mixture")
#: Rows of several lengths, so that batches have padding: (tokens, rows).
ROWS = ((24, 3), (61, 2), (150, 2))
DEMO_ROWS = ((24, 1), (61, 1))
TINY_ROWS = ((9, 2), (20, 1))
#: The largest relative difference of a nuclear norm in float32, and absolute of a cosine.
FLOAT32_BOUND = 1e-4
#: In bfloat16, the device may be this many times as far from float32 as the CPU is (medians over
#: the gradients), with the bound below as a floor: both round differently.
BFLOAT16_FACTOR, BFLOAT16_FLOOR = 2.0, 5e-3


def equality_steps(options: GpuOptions) -> list[Step]:
    """One step per model; the demo only if its file is installed, and in no tiny run."""
    names = TINY_ZOO if options.tiny else ZOO
    steps = [Step(name, partial(compare, options, name)) for name in names]
    if not options.tiny and resolve_model("demo").kind != "hub":
        # Apart, since bfloat16 takes minutes on a CPU without instructions for it.
        steps += [
            Step(f"demo, {dtype}", partial(compare, options, "demo", (dtype,))) for dtype in DTYPES
        ]
    return steps


def compare(options: GpuOptions, name: str, dtypes: tuple[str, ...] = DTYPES) -> list[Record]:
    """One record per dtype: differences between the device and the CPU, and whether they pass."""
    loaded = moved(load_model("demo"), "cpu", "float32") if name == "demo" else zoo_model(name)
    protocol = protocol_of(name)
    sizes = TINY_ROWS if options.tiny else DEMO_ROWS if name == "demo" else ROWS
    rows = [row for size in sizes for row in random_rows(*size, vocabulary_of(loaded))]
    exact = numbers_of(loaded, rows, protocol)
    records = []
    for dtype in dtypes:
        on_cpu = exact
        if dtype != "float32":
            on_cpu = numbers_of(moved(loaded, "cpu", dtype), rows, protocol)
        on_device = numbers_of(moved(loaded, options.device, dtype), rows, protocol)
        largest = differences(on_device, on_cpu).max()
        device_error, cpu_error = (
            differences(numbers, exact).median() for numbers in (on_device, on_cpu)
        )
        cosine = cosine_difference(on_device, on_cpu)
        if dtype == "float32":
            equal = largest <= FLOAT32_BOUND and cosine <= FLOAT32_BOUND
        else:
            equal = device_error <= max(BFLOAT16_FLOOR, BFLOAT16_FACTOR * cpu_error)
        records.append(
            {
                "model": name,
                "dtype": dtype,
                "gradients": len(exact[0]),
                "largest difference": largest,
                "of cosines": cosine,
                "device from float32": device_error,
                "cpu from float32": cpu_error,
                "equal": bool(equal),
            }
        )
    return records


def protocol_of(name: str) -> Protocol:
    """The standard protocol; in a mixture, with the experts' projections."""
    if "mixture" not in name:
        return Protocol(preset="standard")
    names: Any = ("q", "k", "v", "o", "gate", "up", "down")
    return Protocol(preset="standard", projections=names)


#: The gradients' norms, and the layers' cosines, by row.
Numbers = tuple[pl.DataFrame, pl.DataFrame]


def numbers_of(loaded: LoadedModel, rows: list[TokenRow], protocol: Protocol) -> Numbers:
    """The numbers of an extraction; raises RuntimeError if a row is unusable."""
    frame = pl.concat(list(extract_rows(loaded, rows, protocol)))
    reasons = frame["reason"].drop_nulls().to_list()
    if reasons:
        raise RuntimeError(f"{len(reasons)} of {len(frame)} rows are unusable: {reasons[0]}")
    places = ["row", "layer", "projection"]
    norms = explode_matrices(frame.lazy()).select(
        *places, "next_layer_cosine", nuclear=pl.col("singular_values").list.sum()
    )
    layers = explode_layers(frame.lazy())
    return norms.sort(places).collect(), layers.sort("row", "layer").collect()


def differences(numbers: Numbers, others: Numbers) -> Any:
    """The relative differences of all nuclear norms, as an array with ``max`` and ``median``."""
    norms, expected = numbers[0]["nuclear"], others[0]["nuclear"]
    if len(norms) != len(expected):
        raise RuntimeError(f"{len(norms)} gradients instead of {len(expected)}")
    scale = pl.Series(expected).clip(1e-30)
    return ((norms - expected).abs() / scale).fill_nan(float("inf"))


def cosine_difference(numbers: Numbers, others: Numbers) -> float:
    """The largest difference of a cosine between or within layers."""
    largest = 0.0
    for ours, theirs in zip(numbers, others, strict=True):
        for name in ours.columns:
            if name.endswith("_cosine"):
                found = (ours[name] - theirs[name]).abs().max()
                largest = max(largest, found if isinstance(found, float) else 0.0)
    return largest
