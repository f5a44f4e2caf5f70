"""The GPU bench: ``python -m bench gpu``, one command for the day a GPU is there.

It needs few packages: torch, transformers, numpy and polars with their requirements, and pydantic,
psutil and gguf, which gradpipe's extraction imports. It uses neither click nor rich.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.gpu_runner import (
    GRACE,
    MARK,
    Event,
    GpuOptions,
    Record,
    Section,
    SectionResult,
    Step,
    run_isolated,
    run_sections,
    run_steps,
)

OUT = Path(__file__).resolve().parent / "results" / "gpu.json"
MINUTES = 8.0
#: Seconds kept for the end of the last section and the report.
RESERVED = 2 * GRACE


def _equality(options: GpuOptions) -> list[Step]:
    from bench.gpu_equality import equality_steps

    return equality_steps(options)


def _speed(options: GpuOptions) -> list[Step]:
    from bench.gpu_speed import speed_steps

    return speed_steps(options)


def _eigen(options: GpuOptions) -> list[Step]:
    from bench.gpu_eigen import eigen_steps

    return eigen_steps(options)


def _memory(options: GpuOptions) -> list[Step]:
    from bench.gpu_memory import memory_steps

    return memory_steps(options)


def _overlap(options: GpuOptions) -> list[Step]:
    from bench.gpu_overlap import overlap_steps

    return overlap_steps(options)


#: The weights are seconds that the sections should take on an H200, with some to spare.
SECTIONS = [
    Section("equality", "Equality with the CPU", 80, _equality),
    Section("speed", "A model of Llama-3.1-8B's shape", 170, _speed),
    Section("eigenvalues", "Ways to compute eigenvalues", 120, _eigen),
    Section("memory", "Recovery when memory is full", 50, _memory),
    Section("overlap", "Spectra beside the passes", 40, _overlap),
]


def measure_gpu(arguments: list[str]) -> int:
    """Run the command; return 0, 1 if a step failed, or 2 without the device."""
    from gradpipe.system.cpu_settings import set_up_cpu

    set_up_cpu()
    # Do not log the start and the end of each profile.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    parser = _parser()
    given = parser.parse_args(arguments)
    options = GpuOptions(
        device=given.device, tiny=given.tiny, layers=given.layers, rounds=given.rounds
    )
    by_name = {section.name: section for section in SECTIONS}
    unknown = [name for name in given.sections if name not in by_name]
    if unknown:
        parser.error(f"There is no section {unknown[0]!r}: choose among {', '.join(by_name)}.")
    if given.until is not None:
        run_steps(by_name[given.sections[0]], options, given.until, _write_event)
        return 0
    if not _device_is_there(options.device):
        print(f"There is no device {options.device!r}: torch finds no CUDA GPU.", file=sys.stderr)
        return 2
    sections = [by_name[name] for name in given.sections]
    started = time.time()
    run = _run_here if given.one_process else _run_apart
    seconds = max(1.0, 60 * given.minutes - RESERVED)
    results = run_sections(sections, seconds, partial(run, options), _print_section)
    _write(given.out, options, results, time.time() - started)
    return 1 if any(faults(result) for result in results.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench gpu",
        description="Measure gradpipe on a CUDA device: " + ", ".join(s.title for s in SECTIONS),
    )
    names = ",".join(section.name for section in SECTIONS)
    add = parser.add_argument
    add("--device", default="cuda", help="The torch device [default: cuda].")
    add("--tiny", action="store_true", help="Tiny models, to try the command on a CPU.")
    add("--layers", type=int, default=32, help="Layers of the 8B-shaped model [default: 32].")
    add("--rounds", type=int, default=1, help="Rounds of each time; the best counts [default: 1].")
    add("--minutes", type=float, default=MINUTES, help="Time of the whole [default: 8].")
    add("--sections", type=_listed, default=_listed(names), help=f"Some of {names}.")
    add("--one-process", action="store_true", help="Run the sections in this process.")
    add("--out", type=Path, default=OUT, help="The JSON file [default: bench/results/gpu.json].")
    # For the sections' own processes.
    add("--until", type=float, help=argparse.SUPPRESS)
    return parser


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _device_is_there(device: str) -> bool:
    import torch

    return not device.startswith("cuda") or torch.cuda.is_available()


def _write_event(event: Event) -> None:
    print(MARK + json.dumps(event), flush=True)


def _run_here(
    options: GpuOptions, section: Section, until: float, result: SectionResult
) -> str | None:
    run_steps(section, options, until, result.take)
    return None


def _run_apart(
    options: GpuOptions, section: Section, until: float, result: SectionResult
) -> str | None:
    command = [sys.executable, "-m", "bench", "gpu", "--sections", section.name]
    command += ["--device", options.device, "--layers", str(options.layers)]
    command += ["--rounds", str(options.rounds), "--until", str(until)]
    return run_isolated(command + ["--tiny"] * options.tiny, until, result.take)


def faults(result: SectionResult) -> list[str]:
    """The failed steps and the records that do not pass, as sentences."""
    lines = [f"{step} failed: {error}" for step, error in result.failed.items()]
    for record in result.records:
        if record.get("equal") is False or record.get("passed") is False:
            lines.append(f"{record.get('model') or record.get('case')} did not pass")
    return lines


def _print_section(result: SectionResult) -> None:
    print(f"\n{result.title} ({result.seconds:.0f} s of {result.allowed:.0f} s)")
    print(plain_table(result.records))
    for line in faults(result):
        print(f"  {line}")
    if result.left_out:
        print(f"  left out, since the time was over: {'; '.join(result.left_out)}")
    sys.stdout.flush()


def plain_table(records: list[Record]) -> str:
    """Records as a table for any terminal; records without a column have a dash there."""
    if not records:
        return "  nothing was measured"
    columns = list(dict.fromkeys(name for record in records for name in record))
    lines = [columns, *([_cell(record.get(name)) for name in columns] for record in records)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(
    out: Path, options: GpuOptions, results: dict[str, SectionResult], seconds: float
) -> None:
    machine = next((result.machine for result in results.values() if result.machine), {})
    content = {
        "machine": machine,
        "options": vars(options),
        "seconds": seconds,
        "sections": {name: result.as_json() for name, result in results.items()},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\n{seconds:.0f} s; results in {out.name}")
