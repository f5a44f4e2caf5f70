"""Section (e): whether spectra overlap the passes on the device, from a profiler's trace."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.gpu_models import llama_8b, random_rows, vocabulary_of
from bench.gpu_runner import GpuOptions, Record, Step
from bench.ours import our_rows

#: Tokens, number of rows, and layers of the model.
TOKENS, ROWS, LAYERS = 512, 8, 4
TINY_TOKENS, TINY_ROWS = 20, 2
#: Start and end, in microseconds.
Interval = tuple[float, float]


def overlap_steps(options: GpuOptions) -> list[Step]:
    """One step: a small extraction under the profiler."""
    return [Step("trace", partial(measure_overlap, options))]


def measure_overlap(options: GpuOptions) -> list[Record]:
    """The time that each stream (on the CPU: thread) is busy, and both at once."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    loaded = llama_8b(options, LAYERS)
    tokens, count = (TINY_TOKENS, TINY_ROWS) if options.tiny else (TOKENS, ROWS)
    rows = random_rows(tokens, count, vocabulary_of(loaded))
    our_rows(loaded, rows, tokens * count)
    cuda = loaded.device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    # On a CPU, spectra are computed on other threads, which a profile excludes by default.
    every_thread = torch._C._profiler._ExperimentalConfig(profile_all_threads=not cuda)
    with profile(activities=activities, experimental_config=every_thread) as profiler:
        our_rows(loaded, rows, tokens * count)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text("utf-8"))["traceEvents"]
    return [overlap_of(events, cuda)]


def overlap_of(events: list[dict[str, Any]], cuda: bool) -> Record:
    """The overlap of the stream that starts first, the passes', with all others."""
    lanes: defaultdict[Any, list[Interval]] = defaultdict(list)
    for event in events:
        if event.get("cat") == ("kernel" if cuda else "cpu_op") and event.get("ph") == "X":
            lane = event["args"].get("stream") if cuda else event["tid"]
            lanes[lane].append((event["ts"], event["ts"] + event["dur"]))
    if not lanes:
        raise RuntimeError("the trace has no events of the device")
    first = min(lanes, key=lambda lane: min(lanes[lane]))
    passes = union(lanes.pop(first))
    spectra = union([interval for lane in lanes.values() for interval in lane])
    both = overlapping(passes, spectra)
    busy = length(spectra)
    return {
        "of": "streams" if cuda else "threads",
        "others": len(lanes),
        "passes ms": length(passes) / 1e3,
        "spectra ms": busy / 1e3,
        "both ms": both / 1e3,
        "share of spectra beside passes": both / busy if busy else 0.0,
    }


def union(intervals: list[Interval]) -> list[Interval]:
    """The intervals in their order, with overlapping ones joined."""
    joined: list[Interval] = []
    for start, stop in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined


def length(intervals: list[Interval]) -> float:
    """The length of all intervals together."""
    return sum(stop - start for start, stop in intervals)


def overlapping(left: list[Interval], right: list[Interval]) -> float:
    """The length that two lists of disjoint intervals, each in its order, have in common."""
    total, first, second = 0.0, 0, 0
    while first < len(left) and second < len(right):
        start = max(left[first][0], right[second][0])
        stop = min(left[first][1], right[second][1])
        total += max(0.0, stop - start)
        if left[first][1] < right[second][1]:
            first += 1
        else:
            second += 1
    return total
