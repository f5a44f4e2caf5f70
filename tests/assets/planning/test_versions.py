"""What changed, precisely: each change runs just the stages and partitions that hang on it.

Every row is one change to a finished workspace of one model, ``small``, and two benchmarks,
``mini_obscure`` (2 items, 4 examples) and ``mine`` (10 items, 40 examples).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assets.gradient_spectra
import assets.planning.versions
import assets.report
import gradpipe.gradients.rows
from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.assets.conftest import (
    Materialized,
    add_items,
    automate,
    finished_study,
    heavier,
    run,
)
from tests.conftest import study_of

ITEMS, RESPONSES = "benchmark_items", "responses"
SPECTRA, STATISTICS, REPORT = "gradient_spectra", "spectral_statistics", "report"
BOTH_CELLS = ("mini_obscure|small", "mine|small")


@dataclass(frozen=True)
class Row:
    """A change, and what it makes run: (stage, partition) → rows or partitions computed."""

    change: Callable[[Path, pytest.MonkeyPatch], Study]
    ran: dict[tuple[str, str], int]
    loads_model: bool = False


def other_model(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    heavier(folder / "model", folder / "other")
    models = [{"id": str(folder / name), "name": name} for name in ("model", "other")]
    models[0]["name"] = "small"
    return finished_study(folder, models=models)


def ten_more_items(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    add_items(folder, range(20, 30))
    return finished_study(folder)


def edited_response(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    path = folder / "mine.jsonl"
    path.write_text(path.read_text().replace("We add 12 and 12.", "We sum 12 and 12."))
    return finished_study(folder)


def new_statistic(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    statistics = ["nuclear_norm", "frobenius_norm", "effective_rank"]
    return finished_study(folder, statistics=statistics)


def changed_chart(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    patch.setattr(assets.report, "REPORT_VERSION", "another")
    return finished_study(folder)


def changed_protocol(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    return finished_study(folder, protocol={"preset": "standard", "max_length": 2000})


def changed_generator_setting(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    return finished_study(folder, relevances=["correct"])


def new_extractor(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    for module in (assets.gradient_spectra, gradpipe.gradients.rows):
        patch.setattr(module, "EXTRACTOR_VERSION", "another")
    return finished_study(folder)


def replaced_weights(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    heavier(folder / "model", folder / "model")
    return finished_study(folder)


def same_data_written_again(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    path = folder / "mine.jsonl"
    path.write_bytes(path.read_bytes())
    return finished_study(folder)


def same_data_in_other_words(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    path = folder / "mine.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(dict(reversed(row.items()))) + "\n" for row in rows))
    return finished_study(folder)


def another_layout(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    layout = {"device_map": "auto", "gradient_checkpointing": True, "max_memory": {"cpu": "1GB"}}
    models = [{"id": str(folder / "model"), "name": "small", **layout}]
    return finished_study(folder, models=models)


def nothing(folder: Path, patch: pytest.MonkeyPatch) -> Study:
    return finished_study(folder)


def cells(rows: dict[str, int]) -> dict[tuple[str, str], int]:
    """Number of rows of spectra per partition, with their statistics and the report."""
    return (
        {(SPECTRA, cell): count for cell, count in rows.items()}
        | {(STATISTICS, cell): 1 for cell in rows}
        | {(REPORT, ""): 1}
    )


TABLE = {
    "a new model": Row(other_model, cells({"mini_obscure|other": 4, "mine|other": 40}), True),
    # 20 items in two styles, right and irrelevant, of which 40 rows are there.
    "ten more items": Row(
        ten_more_items,
        {(ITEMS, "mine"): 20, (RESPONSES, "mine"): 80} | cells({"mine|small": 40}),
        True,
    ),
    # The text is one item's response and another's irrelevant one.
    "an edited response": Row(
        edited_response,
        {(ITEMS, "mine"): 10, (RESPONSES, "mine"): 40} | cells({"mine|small": 2}),
        True,
    ),
    "a new statistic": Row(
        new_statistic,
        {(STATISTICS, cell): 1 for cell in BOTH_CELLS} | {(REPORT, ""): 1},
    ),
    "a changed chart": Row(changed_chart, {(REPORT, ""): 1}),
    "a changed protocol": Row(
        changed_protocol, cells({"mini_obscure|small": 4, "mine|small": 40}), True
    ),
    # Half of the examples are removed; the rest are in the store.
    "a changed generator setting": Row(
        changed_generator_setting,
        {(RESPONSES, "mini_obscure"): 2, (RESPONSES, "mine"): 20}
        | cells(dict.fromkeys(BOTH_CELLS, 0)),
    ),
    "a new extractor": Row(new_extractor, cells({"mini_obscure|small": 4, "mine|small": 40}), True),
    "replaced weights": Row(
        replaced_weights, cells({"mini_obscure|small": 4, "mine|small": 40}), True
    ),
    "the same data written again": Row(same_data_written_again, {}),
    "the same data, columns swapped": Row(same_data_in_other_words, {(ITEMS, "mine"): 10}),
    "another layout in memory": Row(another_layout, {}),
    "nothing": Row(nothing, {}),
}


#: The rows after which the report is built in full; after the others it only names its models.
IN_FULL = ("a new model", "a changed chart")
#: The rows at which the sensor comes first, too: one for each kind of result.
SENSOR_FIRST = ("a new model", "ten more items", "a changed chart", "nothing")


@pytest.mark.parametrize(
    ("name", "bring_up_to_date", "another_way"),
    [
        *(pytest.param(name, run, automate, id=f"{name}-run") for name in TABLE),
        *(pytest.param(name, automate, run, id=f"{name}-sensor") for name in SENSOR_FIRST),
    ],
)
def test_just_what_hangs_on_a_change_runs_again_and_nothing_by_another_way(
    name: str,
    bring_up_to_date: Callable[[Study], None],
    another_way: Callable[[Study], None],
    done: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if name not in IN_FULL:
        request.getfixturevalue("plain_report")
    row = TABLE[name]
    study = row.change(done, monkeypatch)
    loads: list[Any] = []
    load = Accelerator.load
    monkeypatch.setattr(
        Accelerator, "load", lambda self, *model: loads.append(model) or load(self, *model)
    )
    since = Materialized()
    bring_up_to_date(study)
    assert since.computed() == row.ran
    assert bool(loads) == row.loads_model
    since = Materialized()
    another_way(study)
    assert since.computed() == {}


def test_a_row_of_the_table_names_every_example_of_its_partition(done: Path) -> None:
    """The counts above are the data's own, not the code's."""
    index = pl.concat(
        pl.read_parquet(path)
        for path in sorted((done / "workspace" / "gradient_spectra").glob("*/*/index.parquet"))
    )
    assert dict(index.group_by("benchmark").len().iter_rows()) == {"mini_obscure": 4, "mine": 40}


CHATML = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.usefixtures("plain_report")
@pytest.mark.parametrize("opens", [True, False])
def test_rows_whose_prompts_were_wrong_are_computed_again_once(
    opens: bool, home: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copytree(small_model, tmp_path / "model")
    template = CHATML.replace("<assistant>", "<assistant><think>") if opens else CHATML
    (model / "chat_template.jinja").write_text(template)
    study = study_of(model, "mini_obscure")
    with monkeypatch.context() as earlier:
        # Earlier versions wrote the fingerprint alone into every key.
        earlier.setattr(
            assets.planning.versions, "row_identity", lambda _, fingerprint, __: fingerprint
        )
        assert computed_rows(study) == 4
    old = set(Workspace.current().spectra("small", "mini_obscure").keys())
    assert computed_rows(study) == (4 if opens else 0)
    assert computed_rows(study) == 0
    keys = set(Workspace.current().spectra("small", "mini_obscure").keys())
    assert old <= keys
    assert len(keys) == (8 if opens else 4)


def computed_rows(study: Study) -> int:
    """How many gradients one run of a study computes."""
    runner = Runner(Workspace.current(), study, Accelerator())
    counts = runner.bring_up_to_date()
    assert not runner.failures
    return counts["gradient_spectra"].computed
