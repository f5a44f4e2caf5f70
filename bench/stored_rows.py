"""The row store on disk: files, bytes, and the seconds of its reads, before and after a merge."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from pyarrow import parquet

from bench.settings import Say, Settings
from gradpipe.gradients.spectra.sizes import SKETCH_VALUES
from gradpipe.gradients.spectra.sketches import kept_sketch
from storage.row_store import RowStore
from storage.workspace import SPECTRA_SCHEMA

#: The attention of SmolLM2-135M: its layers, and the smaller side of each projection's matrix.
LAYERS, SIDES = 30, {"q": 576, "k": 192, "v": 192, "o": 576}
#: Mean tokens of GSM8K's responses of the three styles, with their prompts.
TOKENS = (96, 240, 556)
#: Rows per batch, and so per file, of a study on the CPU.
ROWS_PER_FILE = 5
#: Batches with values of their own; others repeat these under new keys.
DIFFERENT = 40
#: The columns of the numbers of rows, without spectra.
_NESTED = ("matrices", "layers", "spans")


def measure_stores(settings: Settings, say: Say) -> pl.DataFrame:
    """One row per store, state and measure; the states are "apart" and "merged"."""
    rng = np.random.default_rng(0)
    batches = [_batch(rng) for _ in range(min(DIFFERENT, -(-settings.stored // ROWS_PER_FILE)))]
    results: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="gradpipe-bench-") as folder:
        store = RowStore(Path(folder), SPECTRA_SCHEMA)
        keys = _fill(store, batches, settings.stored)
        for state in ("apart", "merged"):
            merge = {"merge": _seconds(store.compact)} if state == "merged" else {}
            for number in range(1, settings.rounds + 1):
                measures = merge | _measure(store, keys)
                merge = {}
                results += [
                    {"case": state, "round": number, "measure": name, "value": value}
                    for name, value in measures.items()
                ]
                say(f"{state}, round {number}: a look takes {measures['look']:.3f} s")
    return pl.DataFrame(results, schema_overrides={"value": pl.Float64})


def summarize_stores(measures: pl.DataFrame) -> pl.DataFrame:
    """One row per state with the median of each measure."""
    return (
        measures.group_by("case", "measure", maintain_order=True)
        .agg(pl.col("value").median())
        .pivot("measure", index="case", values="value")
    )


def _measure(store: RowStore, keys: list[str]) -> dict[str, float]:
    """Each read is the first of a new RowStore, as in a new process; the files are in RAM."""
    wanted = pl.Series("key", keys)

    def fresh() -> RowStore:
        return RowStore(store.folder, SPECTRA_SCHEMA)

    return {
        "files": len(store.parts()),
        "row_bytes": store.bytes() / len(keys),
        **{name: value / len(keys) for name, value in _bytes_by_column(store).items()},
        "look": _seconds(lambda: fresh().missing(keys)),
        "numbers": _seconds(lambda: fresh().scan(wanted).drop(_NESTED).collect()),
        "spectra": _seconds(lambda: sum(chunk.height for chunk in fresh().chunks(wanted))),
    }


def _bytes_by_column(store: RowStore) -> dict[str, int]:
    """The bytes of singular values, of sketches, and of everything else."""
    total = {"value_bytes": 0, "sketch_bytes": 0}
    for part in store.parts():
        group = parquet.read_metadata(str(part)).row_group(0)
        for number in range(group.num_columns):
            chunk = group.column(number)
            if chunk.path_in_schema.startswith("matrices.list.element.singular_values"):
                total["value_bytes"] += chunk.total_compressed_size
            elif chunk.path_in_schema.startswith("matrices.list.element.sketch"):
                total["sketch_bytes"] += chunk.total_compressed_size
    return total | {"other_bytes": store.bytes() - sum(total.values())}


def _fill(store: RowStore, batches: list[pl.DataFrame], count: int) -> list[str]:
    """Append ``count`` rows, batch by batch; return their keys."""
    keys = [f"{number:020x}" for number in range(count)]
    for number, start in enumerate(range(0, count, ROWS_PER_FILE)):
        own = keys[start : start + ROWS_PER_FILE]
        batch = batches[number % len(batches)].head(len(own))
        store.append(batch.with_columns(key=pl.Series(own)))
    return keys


def _batch(rng: np.random.Generator) -> pl.DataFrame:
    tokens = int(rng.choice(TOKENS) * rng.uniform(0.8, 1.2))
    rows = [
        {
            "loss": rng.random(),
            "tokens": tokens,
            "response_tokens": tokens // 2,
            "truncated": False,
            "seconds": rng.random(),
            "hardware": "any",
            "matrices": [
                _matrix(rng, layer, name, tokens) for layer in range(LAYERS) for name in SIDES
            ],
            "layers": [
                {"layer": layer, "q_o_cosine": rng.random(), "k_v_cosine": rng.random()}
                for layer in range(LAYERS)
            ],
            "spans": [],
            "gaps": [],
            "token_losses": rng.random(tokens // 2).astype("f4"),
        }
        for _ in range(ROWS_PER_FILE)
    ]
    return pl.DataFrame(rows, schema={n: d for n, d in SPECTRA_SCHEMA.items() if n != "key"})


def _matrix(rng: np.random.Generator, layer: int, name: str, tokens: int) -> dict[str, Any]:
    """A gradient's numbers, whose digits are noise as those of real ones."""
    values = np.sort(rng.lognormal(sigma=2, size=min(tokens - 1, SIDES[name])))[::-1]
    sketch = rng.normal(size=SKETCH_VALUES) / SKETCH_VALUES**0.5
    return {
        "layer": layer,
        "projection": name,
        "frobenius_norm": float(np.linalg.norm(values)),
        "singular_values": values.astype("f4"),
        "next_layer_cosine": rng.random(),
        "sketch": kept_sketch(sketch, 1.0),
        "token_norms": rng.random(),
        "token_energy": rng.random(),
    }


def _seconds(action: Any) -> float:
    started = perf_counter()
    action()
    return perf_counter() - started
