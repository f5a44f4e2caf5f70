"""Peak memory and time of ``extract`` and ``rank`` on made-up spectra, by the number of rows.

Run as a program, this module is the process that is measured: it reads one JSON object and prints
another.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from bench.machine import describe_machine
from bench.settings import Say
from bench.stub_runner import StubRunner

#: One row per command and number of rows: the process's peak in bytes, seconds, computed rows, and
#: the bytes of the data file.
STREAMING = pl.Schema(
    {
        "command": pl.String(),
        "rows": pl.Int64(),
        "peak": pl.Int64(),
        "seconds": pl.Float64(),
        "computed": pl.Int64(),
        "data": pl.Int64(),
    }
)
#: ``resumed``: rank after a kill at two fifths.
COMMANDS = ("rank", "resumed", "extract")
_ANSWER = "Because the sum of both is even, it follows that "


def measure_streaming(sizes: tuple[int, ...], say: Say) -> pl.DataFrame:
    """Measure every command on JSON lines of each size (STREAMING)."""
    records = []
    with TemporaryDirectory() as folder:
        for rows in sizes:
            data = write_rows(Path(folder) / f"{rows}.jsonl", rows)
            for command in COMMANDS:
                record = _measured(command, rows, data)
                say(
                    f"{command} of {rows:,} rows: {record['peak'] / 1e6:.0f} MB, "
                    f"{record['seconds']:.0f} s, {record['computed']:,} rows computed"
                )
                records.append(record)
            data.unlink()
    return pl.DataFrame(records, schema=STREAMING)


def write_rows(path: Path, rows: int) -> Path:
    """A file of pairs of about 500 bytes, all different."""
    with path.open("w") as file:
        for number in range(rows):
            answer = _ANSWER * (3 + number % 9) + str(number)
            row = {"instruction": f"Why is {number} + {number} even?", "output": answer}
            file.write(json.dumps({**row, "source": f"set{number % 7}"}) + "\n")
    return path


def write_results(found: pl.DataFrame, out: Path) -> None:
    """Write measurements to a JSON file, and as a Markdown table beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        json.dumps({"machine": describe_machine(), "rows": found.to_dicts()}, indent=2) + "\n"
    )
    lines = [
        "| command | rows | data | peak memory | seconds | computed |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['command']} | {row['rows']:,} | {row['data'] / 1e6:.0f} MB "
        f"| {row['peak'] / 1e6:.0f} MB | {row['seconds']:.0f} | {row['computed']:,} |"
        for row in found.iter_rows(named=True)
    ]
    out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def _measured(command: str, rows: int, data: Path) -> dict[str, Any]:
    out = data.with_name(f"out{'.parquet' if command == 'extract' else '.jsonl'}")
    request: dict[str, Any] = {"command": command, "data": str(data), "out": str(out)}
    if command == "resumed":
        _child({**request, "kill": rows * 2 // 5})
    result = json.loads(_child(request).splitlines()[-1])
    size = data.stat().st_size
    out.unlink()
    return {"command": command, "rows": rows, "data": size, **result}


def _child(request: dict[str, Any]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench.streaming", json.dumps(request)],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check="kill" not in request,
    )
    return done.stdout


def run_command(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command in this process; with ``kill``, end it after that many rows."""
    from gradpipe.cli.work_folder import work_folder
    from gradpipe.standalone.data_stream import open_data
    from gradpipe.standalone.example_chunks import ExampleChunks
    from gradpipe.standalone.extraction_run import ExtractionRun
    from gradpipe.standalone.rank_examples import RankOrder
    from gradpipe.standalone.rank_file import write_ranking
    from gradpipe.standalone.ranking_run import RankingRun

    def kill(computed: int) -> None:
        if computed >= request.get("kill", computed + 1):
            os.kill(os.getpid(), 9)

    runner, out, started = StubRunner(after=kill), Path(request["out"]), time.perf_counter()
    chunks = ExampleChunks(stream=open_data(request["data"]))
    with work_folder(None, out) as kept:
        if request["command"] == "extract":
            ExtractionRun(chunks, runner, out, kept=kept).run()
        else:
            order = RankOrder(by="nuclear_norm")
            ranking = RankingRun(chunks, runner, order, kept=kept)
            write_ranking(chunks, out, order, ranking.run, overwrite=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = time.perf_counter() - started
    return {"peak": peak, "seconds": seconds, "computed": runner.computed}


if __name__ == "__main__":
    print(json.dumps(run_command(json.loads(sys.argv[1]))))
