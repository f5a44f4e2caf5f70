"""A process of its own for the tests that interrupt or kill one: asks what its store lacks.

Arguments: the generator's settings as JSON, the number of items, the store's file (JSON lines).
"""

import json
import sys
from pathlib import Path

import polars as pl

from gradpipe.benchmarks.items import build_items
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate


def main() -> None:
    config = GeneratorConfig.model_validate_json(sys.argv[1])
    count, file = int(sys.argv[2]), Path(sys.argv[3])
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    table = pl.DataFrame(
        {
            "instruction": [f"Question number {i}: how much is {i} + {i}?" for i in range(count)],
            "answer": [str(2 * i) for i in range(count)],
            "rationale": pl.Series([None] * count, dtype=pl.String),
        }
    )
    calls = plan_calls(build_items(table, "sums", "math", {}), config)
    missing = calls.filter(~pl.col("key").is_in([json.loads(line)["key"] for line in lines]))

    def keep(rows: pl.DataFrame) -> None:
        with file.open("a", encoding="utf-8") as store:
            store.write(rows.write_ndjson())

    print("ready", flush=True)
    summary = generate(missing, config, keep)
    print(json.dumps({"kept": summary.kept, "failed": summary.failed, "left": summary.left}))


if __name__ == "__main__":
    main()
