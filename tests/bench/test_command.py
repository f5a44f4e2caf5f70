"""Every part from its command to its JSON; what cannot be used gets a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench import layer, memory, spans, stored_rows
from bench.__main__ import main
from bench.goals import GOALS, check_goals
from bench.tables import COLUMNS, goal_line, markdown_table

TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def measured(part: str, out: Path, *arguments: object) -> dict[str, Any]:
    """What a part wrote; all that its table needs is there."""
    done = bench(part, *arguments, "--out", out)
    assert done.exit_code == 0, done.output
    results: dict[str, Any] = json.loads(out.read_text("utf-8"))
    assert {"processor", "cores", "threads", "torch"} <= results["machine"].keys()
    assert str(out.parent.parent) not in json.dumps(results)
    found: dict[str, Any] = results["parts"][part]
    table = markdown_table(part, found["summary"])
    assert found["summary"]
    assert "–" not in table
    assert table in out.with_suffix(".md").read_text("utf-8")
    for column in COLUMNS[part]:
        assert all(column.key in record for record in found["summary"])
    return found


def test_passes_compares_the_three_methods_in_every_round(
    small_model: Path, table: Path, tmp_path: Path
) -> None:
    options = ("--model", small_model, "--data", table, "--naive-rows", 2, "--rounds", 2)
    found = measured("passes", tmp_path / "p.json", *options, "--styles", "none,detailed")
    assert [record["case"] for record in found["summary"]] == ["none", "detailed"]
    assert {goal["case"] for goal in found["goals"]} == {"none", "detailed"}
    for style in ("none", "detailed"):
        rows = [row for row in found["rows"] if row["case"] == style]
        assert {(row["round"], row["method"]) for row in rows} == {
            (number, method) for number in (1, 2) for method in ("ours", "bare", "naive")
        }
        assert all(row["examples"] == (2 if row["method"] == "naive" else 4) for row in rows)
    assert all(record["difference"] < 1e-4 for record in found["summary"])


def test_passes_runs_without_the_naive_method(
    small_model: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    options = ("--model", small_model, "--data", table, "--naive-rows", 0, "--rounds", 1)
    done = bench("passes", *options, "--styles", "none", "--out", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text("utf-8"))["parts"]["passes"]
    assert found["summary"][0]["speedup"] is None
    assert [goal["goal"] for goal in found["goals"]] == ["times the bare passes"]
    assert "–" in out.with_suffix(".md").read_text("utf-8")


def test_alignment_compares_both_ways_in_every_round(
    small_model: Path, table: Path, tmp_path: Path
) -> None:
    options = ("--model", small_model, "--data", table, "--rounds", 2, "--styles", "none,detailed")
    found = measured("alignment", tmp_path / "a.json", *options)
    assert [record["case"] for record in found["summary"]] == ["none", "detailed"]
    assert [goal["bound"] for goal in found["goals"]] == [1.1, 1.1]
    taken = [(row["case"], row["round"], row["method"]) for row in found["rows"]]
    assert taken == [
        (style, number, method)
        for style in ("none", "detailed")
        for number, methods in ((1, ("with", "without")), (2, ("without", "with")))
        for method in methods
    ]


def test_spans_are_compared_with_spans_as_rows(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "CASES", ((20, 2), (30, 3)))
    monkeypatch.setattr(spans, "TOKENS", 60)
    found = measured("spans", tmp_path / "s.json", "--model", small_model, "--rounds", 1)
    assert [record["case"] for record in found["summary"]] == [
        "20 tokens, 2 spans",
        "30 tokens, 3 spans",
    ]
    assert [(row["method"], row["examples"]) for row in found["rows"]] == [
        (method, examples)
        for examples in (3, 2)
        for method in ("without", "shared", "rows", "cut rows")
    ]


def test_storage_measures_rows_apart_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_rows, "LAYERS", 2)
    out = tmp_path / "s.json"
    done = bench("storage", "--stored", 42, "--rounds", 2, "--out", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text("utf-8"))["parts"]["storage"]
    apart, merged = found["summary"]
    assert (apart["case"], apart["files"], apart["merge"]) == ("apart", 9, None)
    assert (merged["case"], merged["files"]) == ("merged", 1)
    assert merged["merge"] > 0
    for record in (apart, merged):
        parts = [record[f"{name}_bytes"] for name in ("value", "sketch", "other")]
        assert sum(parts) == pytest.approx(record["row_bytes"])
        assert all(record[column.key] is not None for column in COLUMNS["storage"][:-1])
    assert {row["round"] for row in found["rows"]} == {1, 2}


def test_layer_times_whole_and_spectra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layer.SHAPES, "Llama-3.1-8B", ("llama", TINY))
    options = ("--shapes", "Llama-3.1-8B", "--tokens", 20, "--rounds", 1)
    found = measured("layer", tmp_path / "l.json", *options)
    assert [goal["bound"] for goal in found["goals"]] == [25, 400]
    assert found["summary"][0]["difference"] < 1e-4


@pytest.mark.parametrize(
    "fresh", [pytest.param(True, marks=pytest.mark.slow), pytest.param(False)], ids=["fresh", "own"]
)
def test_memory_has_a_peak_for_every_method(
    small_model: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    if not fresh:
        monkeypatch.setattr(memory, "in_fresh_process", memory.peak_of)
    options = ("--model", small_model, "--data", table, "--styles", "none", "--shapes", "")
    found = measured("memory", tmp_path / "m.json", *options)
    assert [row["method"] for row in found["rows"]] == ["ours", "bare", "naive", "alone"]
    # torch alone is more than this; a peak in kilobytes would be less.
    assert all(row["peak"] > 1e8 for row in found["rows"])
    assert all(0 <= row["above"] < row["peak"] for row in found["rows"])


def test_a_failed_process_names_its_case(small_model: Path, table: Path, tmp_path: Path) -> None:
    options = ("--model", small_model, "--data", table, "--styles", "slow", "--shapes", "")
    done = bench("memory", *options, "--out", tmp_path / "m.json")
    assert done.exit_code == 2
    assert "memory" in done.output
    assert "'slow'" in done.output


def test_profile_lists_operators_of_both_methods(
    small_model: Path, table: Path, tmp_path: Path
) -> None:
    options = ("--model", small_model, "--data", table, "--styles", "detailed")
    found = measured("profile", tmp_path / "o.json", *options)
    ours, bare = (
        {row["operator"] for row in found["rows"] if row["method"] == method}
        for method in ("ours", "bare")
    )
    assert "aten::mm" in ours & bare
    # Taken on threads of their own, spectra are seen too.
    assert any("eigh" in operator for operator in ours - bare)


def test_goals_are_reached_from_the_right_side() -> None:
    faster, slower = (goal for goal in GOALS if (goal.part, goal.case) == ("passes", "none"))
    assert faster.outcome(9.5)["reached"]
    assert not faster.outcome(8.9)["reached"]
    assert slower.outcome(1.1)["reached"]
    assert not slower.outcome(1.2)["reached"]
    assert {"missed:", "1.2", "1.15)"} <= set(goal_line(slower.outcome(1.2)).split())


@pytest.mark.parametrize("part", COLUMNS)
def test_a_part_without_numbers_has_no_goals(part: str) -> None:
    import polars as pl

    assert check_goals(part, pl.DataFrame()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("passes", "--styles", "slow"), "'slow'"),
        (("passes", "--styles", ","), "style"),
        (("passes", "--model", "/nowhere/model"), "/nowhere/model"),
        (("passes", "--rounds", "0"), "--rounds"),
        (("passes", "--rows", "many"), "--rows"),
        (("passes", "--data", "/nowhere.jsonl"), "/nowhere.jsonl"),
        (("layer", "--shapes", "Lama-3.1-8B"), "'Llama-3.1-8B'"),
        (("memory", "--shapes", "small"), "'small'"),
        (("speed",), "'speed'"),
    ],
)
def test_invalid_options_are_refused(
    small_model: Path, table: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    part, *given = arguments
    options: list[object] = [] if part == "speed" else ["--out", tmp_path / "x.json"]
    if part in {"passes", "memory"}:
        options += ["--model", small_model, "--data", table]
    done = bench(part, *options, *given)
    assert done.exit_code == 2, done.output
    assert named in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "x.json").exists()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    done = bench("passes", "--model", "/nowhere/model", "--out", tmp_path / "file" / "x.json")
    assert done.exit_code == 2
    assert "x.json" in done.output
