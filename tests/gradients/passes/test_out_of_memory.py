"""A row that no memory holds is recorded and the others go on: with the allocators' own refusals.

A child process limits its address space, as ``ulimit -v`` and batch systems do.
"""

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.spectra import layer_jobs
from gradpipe.gradients.spectra.spectrum import spectra_of_gradients
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
CHILD = """
    import json, resource, sys
    import polars as pl, psutil, torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from gradpipe.gradients import loop
    from gradpipe.gradients.spectra import layer_jobs
    from gradpipe.gradients.extract import extract_rows
    from gradpipe.gradients.protocol import STANDARD
    from gradpipe.gradients.tokens import TokenRow
    from gradpipe.models.load import LoadedModel

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=64, intermediate_size=8192, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=8192,
    )
    loaded = LoadedModel(
        name="wide", fingerprint="", model=LlamaForCausalLM(config), tokenizer=None, device="cpu"
    )
    lengths = (30, 40, 3000, 60, 25, *[28] * 8)
    rows = [TokenRow([3 + (n * t) % 290 for t in range(n)], n - 5, False) for n in lengths]
    errors = []

    def extract(rows):
        frames = extract_rows(loaded, rows, STANDARD)
        return pl.concat(frames).sort("row").select("row", "loss", "reason").to_dicts()

    def limit(mebibytes):
        now = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (now + mebibytes * 2**20, resource.RLIM_INFINITY))

    def out_of_memory(error):
        errors.append(f"{type(error).__name__}: {error}"[:200])
        return known(error)

    known, loop.out_of_memory = loop.out_of_memory, out_of_memory
    expected = extract([row for row in rows if len(row.ids) < 100])
    # The long row's first activation alone takes 94 MiB; all of a short one's are below two.
    limit(60)
    tight = extract(rows)
    print(json.dumps({"expected": expected, "tight": tight, "errors": errors}))
"""


def load(model: Any) -> LoadedModel:
    return LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_a_row_that_an_address_space_does_not_hold_is_recorded_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    # Arenas of threads take up address space without using it.
    settings = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "POLARS_MAX_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD)],
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
        text=True,
        timeout=600,
        cwd=tmp_path,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(child.stdout.splitlines()[-1])
    # The first batch, which is there to measure, was the one that did not fit.
    assert found["errors"]
    assert all("can't allocate memory" in error for error in found["errors"])
    reasons = {row["row"]: row["reason"] for row in found["tight"]}
    assert reasons.pop(2).startswith(
        "the row's 3000 tokens do not fit in memory, even in a batch of one"
    )
    assert set(reasons.values()) == {None}
    losses = [row["loss"] for row in found["tight"] if row["row"] != 2]
    assert losses == pytest.approx([row["loss"] for row in found["expected"]], rel=1e-5)


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: bytearray(2**62),
        lambda: np.empty(2**60, dtype=np.uint8),
        lambda: torch.empty(2**60, dtype=torch.uint8),
    ],
    ids=["Python", "NumPy", "torch"],
)
def test_a_thread_that_is_refused_memory_costs_its_row_alone(
    refusal: Callable[[], object],
    make_model: MakeModel,
    make_rows: MakeRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = make_model("llama"), make_rows((9, 4), (50, 7), (12, 5), (11, 5))
    expected = pl.concat(extract_rows(load(model), rows, STANDARD)).sort("row")
    threads: set[int] = set()

    def take(x: torch.Tensor, ds: dict[str, torch.Tensor]) -> Any:
        if x.shape[1] == 50:
            threads.add(threading.get_ident())
            refusal()
        return spectra_of_gradients(x, ds)

    monkeypatch.setattr(layer_jobs, "spectra_of_gradients", take)
    table = pl.concat(extract_rows(load(model), rows, STANDARD)).sort("row")
    assert threads
    assert threading.get_ident() not in threads
    reason = table["reason"][1]
    assert reason.startswith("the row's 50 tokens do not fit in memory, even in a batch of one")
    assert "use gradient checkpointing or a device with more" in reason
    others = [0, 2, 3]
    assert table["reason"][others].null_count() == 3
    assert table["loss"][others].to_list() == pytest.approx(expected["loss"][others].to_list())


def test_a_row_too_large_with_checkpointing_is_not_told_to_use_it(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    model.model.layers[1].register_forward_hook(lambda *_: torch.empty(2**60, dtype=torch.uint8))
    loaded = LoadedModel(
        name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu", checkpointing=True
    )  # type: ignore[arg-type]
    table = pl.concat(extract_rows(loaded, make_rows((9, 4), (8, 4)), STANDARD)).sort("row")
    for reason in table["reason"]:
        assert reason.endswith("of one row: use a device with more memory")
