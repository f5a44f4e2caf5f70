"""`gradpipe compare` as a user types it: on small workspaces and on files of `gradpipe extract`."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from assets.benchmark_items import BENCHMARK_ITEMS
from assets.gradient_spectra import GRADIENT_SPECTRA
from assets.planning.versions import Versions
from assets.responses import RESPONSES
from assets.spectral_statistics import SPECTRAL_STATISTICS
from gradpipe.cli import main
from gradpipe.cli.compare import SUMMARY_ROWS
from gradpipe.studies.examples import study_examples, study_items
from gradpipe.studies.study import Study
from storage.stages import Partition
from storage.workspace import Workspace
from tests.assets.conftest import heavier
from tests.claims.conftest import make_cell, make_table

ITEMS = 9
STATISTICS = ("nuclear_norm", "frobenius_norm", "effective_rank")
CURVES = [
    (style, relevance) for style in ("none", "detailed") for relevance in ("correct", "irrelevant")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """Two workspaces: two models on two benchmarks, and one on one of them by another protocol.

    The statistics of ``heavy`` are twice those of ``small``; by the protocol of ``cut`` those of
    detailed responses are three times as large.
    """
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(small_model, folder / "small")
    heavier(folder / "small", folder / "heavy")
    for place, name in enumerate(("ours", "theirs")):
        write_benchmark(folder / f"{name}.jsonl", 100 * place)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        fill(folder / "main", study_in(folder, ("small", "heavy"), ("ours", "theirs")))
        fill(folder / "cut", study_in(folder, ("small",), ("ours",), max_length=70), detailed=3.0)
    return folder


def write_benchmark(path: Path, start: int) -> None:
    rows = [
        {"instruction": f"What is {n} + {n}?", "answer": str(2 * n), "none": str(2 * n)}
        | {"detailed": f"We add {n} and {n}, one after the other. That makes {2 * n} in all."}
        for n in range(start + 10, start + 10 + ITEMS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def study_in(
    folder: Path, models: tuple[str, ...], benchmarks: tuple[str, ...], **protocol: object
) -> Study:
    return Study.model_validate(
        {
            "models": [{"id": str(folder / name), "name": name} for name in models],
            "benchmarks": [
                {"name": name, "source": "files", "path": str(folder / f"{name}.jsonl")}
                for name in benchmarks
            ],
            "protocol": {"preset": "paper"} | protocol,
            "statistics": STATISTICS,
        }
    )


def fill(home: Path, study: Study, detailed: float = 1.0) -> None:
    """Make every table of a study up, as current as `gradpipe run` leaves them."""
    workspace = Workspace(home)
    workspace.keep_study(study)
    versions = Versions(workspace, study)
    for config in study.benchmarks:
        data = Partition(benchmark=config.name)
        items = study_items(study, config)
        workspace.items(config.name).write(items, versions.version(BENCHMARK_ITEMS, data))
        examples = study_examples(study, config, items).examples
        workspace.responses(config.name).write(examples, versions.version(RESPONSES, data))
        for model in study.models:
            cell = Partition(model=model.name, benchmark=config.name)
            index = versions.table(GRADIENT_SPECTRA, cell)
            index.write(examples, versions.version(GRADIENT_SPECTRA, cell))
            scale = 2.0 if model.name == "heavy" else 1.0
            made_up = statistics(
                cell.model, cell.benchmark, items["item_id"].to_list(), scale, detailed
            )
            table = versions.table(SPECTRAL_STATISTICS, cell)
            table.write(made_up, versions.version(SPECTRAL_STATISTICS, cell))


def statistics(
    model: str, benchmark: str, items: list[str], scale: float, detailed: float
) -> pl.DataFrame:
    """A made-up table of statistics, the same for every model up to a scale."""
    wave = scale * (5 + 3 * np.sin(np.arange(8.0)))
    curves = {curve: wave * (detailed if curve[0] == "detailed" else 1.0) for curve in CURVES}
    cell = make_cell(
        list(benchmark.encode()),
        ITEMS,
        curves,
        noise=0.1,
        model=model,
        benchmark=benchmark,
        projections="qkvo",
    )
    table = make_table(replace(cell, items=tuple(sorted(items))))
    return table.with_columns(pl.col("nuclear_norm").alias(name) for name in STATISTICS)


@pytest.fixture
def workspaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with its workspace ``main`` as the current one, entered."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GRADPIPE_HOME", str(folder / "main"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    return folder


def compare(*words: str) -> Result:
    return CliRunner().invoke(main, ["compare", *words], catch_exceptions=False)


def table(*words: str) -> pl.DataFrame:
    """The rows that ``--json`` prints."""
    result = compare(*words, "--json")
    assert result.exit_code == 0, result.output
    return pl.DataFrame(json.loads(result.stdout)["rows"], infer_schema_length=None)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    (message,) = result.stderr.strip().splitlines()
    assert message.startswith("gradpipe: ")
    for word in words:
        assert word in message


def test_two_models_are_compared_on_every_benchmark_that_both_ran(workspaces: Path) -> None:
    rows = table("heavy", "small")
    assert rows["benchmark"].unique().sort().to_list() == ["ours", "theirs"]
    assert rows["statistic"].unique(maintain_order=True).to_list() == [
        "nuclear_norm",
        "effective_rank",
    ]
    assert rows["model"].is_null().all()
    assert rows["paired"].all()
    assert rows["verdict"].unique().to_list() == ["higher"]
    assert rows["ratio"].to_list() == pytest.approx([2.0] * 128, rel=0.1)


def test_the_rows_that_differ_most_a_summary_and_the_file_of_all_rows_are_printed(
    workspaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = compare("small", f"{workspaces / 'cut'}:small")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    shown = [line.split() for line in lines[1 : 1 + SUMMARY_ROWS]]
    # Only detailed responses differ.
    assert {(words[2], words[-1]) for words in shown} == {("detailed", "lower")}
    assert len(lines) <= 1 + SUMMARY_ROWS + 12
    (file,) = tmp_path.glob("compare-*.csv")
    assert file.name in lines[-1]
    # One benchmark × two styles × two relevances × four projections × two statistics, twice each.
    assert pl.read_csv(file).height == 64
    assert {"32", "64"} <= set(lines[-2].split())


def test_the_two_sides_are_the_curves_of_the_statistics_tables(workspaces: Path) -> None:
    row = table("heavy", "small", "--on", "frobenius_norm").row(
        by_predicate=(pl.col("benchmark") == "ours")
        & (pl.col("style") == "none")
        & (pl.col("relevance") == "irrelevant")
        & (pl.col("projection") == "v")
        & (pl.col("quantity") == "mad"),
        named=True,
    )
    for side, model in (("a", "heavy"), ("b", "small")):
        curve = (
            Workspace.current()
            .statistics(model, "ours")
            .read()
            .filter(style="none", relevance="irrelevant", projection="v")
            .group_by("layer")
            .agg(pl.col("frobenius_norm").mean())
            .sort("layer")
        )
        mad = curve["frobenius_norm"].diff().abs().mean()
        assert row[side] == pytest.approx(mad)


def test_two_benchmarks_are_compared_per_model_with_unpaired_items(
    workspaces: Path,
) -> None:
    rows = table("ours", "theirs", "--on", "nuclear_norm")
    assert rows["model"].unique().sort().to_list() == ["heavy", "small"]
    assert rows["benchmark"].is_null().all()
    assert not rows["paired"].any()
    assert rows.filter(pl.col("items_a") == ITEMS, pl.col("items_b") == ITEMS).height == 64


def test_two_protocols_are_two_workspaces_with_the_same_model_and_items(workspaces: Path) -> None:
    whole = table("main", "cut")
    assert whole.select("model", "benchmark").unique().rows() == [("small", "ours")]
    assert whole["paired"].all()
    model = table("small", "cut:small")
    of_benchmark = table("ours", f"{workspaces / 'cut'}:ours")
    assert model.equals(whole)
    assert of_benchmark.equals(whole)
    means = whole.filter(quantity="mean", statistic="nuclear_norm")
    assert (means.filter(style="none")["p_adjusted"] == 1).all()
    assert (means.filter(style="none")["ratio"] == 1).all()
    detailed = means.filter(style="detailed")
    assert (detailed["verdict"] == "lower").all()
    assert detailed["ratio"].to_list() == pytest.approx([1 / 3] * 8, rel=0.05)


def test_a_workspace_with_one_model_can_replace_its_name(workspaces: Path) -> None:
    assert table("small", "cut").equals(table("small", "cut:small"))
    refused(compare("cut:small", "main"), "small", "heavy", "main:small")


def test_the_files_have_every_digit(workspaces: Path, tmp_path: Path) -> None:
    path, parquet = tmp_path / "compared.csv", tmp_path / "compared.parquet"
    rows = table("heavy", "small", "--out", str(path))
    table("heavy", "small", "--out", str(parquet))
    assert pl.read_parquet(parquet).to_dicts() == rows.to_dicts()
    with path.open() as file:
        written = list(csv.DictReader(file))
    assert [float(row["ratio"]) for row in written if row["ratio"]] == (
        rows["ratio"].drop_nulls().to_list()
    )
    assert [row["verdict"] for row in written] == rows["verdict"].to_list()
    refused(compare("heavy", "small", "--out", str(tmp_path / "gone" / "x.csv")), "gone", "x.csv")
    refused(compare("heavy", "small", "--out", str(tmp_path / "x.txt")), "x.txt", ".parquet")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("heavy", "smal"), ("'smal'", "'small'")),
        (("heavy", "./nowhere"), ("'./nowhere'", "heavy, ours, small, theirs")),
        (("heavy", "cut:smalll"), ("cut", "'smalll'", "'small'")),
        (("heavy", "heavy"), ("heavy",)),
        (("heavy", "ours"), ("heavy", "model", "ours", "benchmark")),
        (("theirs:", "small"), ("'theirs:'", "'theirs'")),
        (("heavy", "."), ("workspace", "study.yaml")),
        (("heavy", "small", "--on", "nuclear_nrm"), ("'nuclear_nrm'", "'nuclear_norm'")),
        (("heavy", "small", "--on", "stable_rank"), ("'stable_rank'",)),
        (("heavy", "gone.parquet"), ("gone.parquet", "heavy", "gradpipe extract")),
        (("ftp://there", "small"), ("ftp",)),
    ],
)
def test_invalid_comparisons_are_refused(
    words: tuple[str, ...], parts: tuple[str, ...], workspaces: Path
) -> None:
    refused(compare(*words), *parts)


def test_a_study_without_results_is_refused(
    workspaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADPIPE_HOME", str(tmp_path / "new"))
    Workspace.current().keep_study(study_in(workspaces, ("small", "heavy"), ("ours",)))
    refused(compare("small", "heavy"), "small", "statistics", "gradpipe run")


@pytest.fixture(scope="module")
def extracts(folder: Path) -> Path:
    """Files of `gradpipe extract`: both models on the same rows, one on the rows behind them."""
    rows = [
        {"instruction": f"Spell {n}.", "output": f"The number {n} has digits."}
        for n in range(100, 100 + 2 * ITEMS)
    ]
    data = folder / "pairs.json"
    data.write_text(json.dumps(rows))
    for out, model, offset in (("small", "small", 0), ("heavy", "heavy", 0), ("rest", "small", 9)):
        words = ["extract", str(data), "--model", str(folder / model), "--limit", str(ITEMS)]
        words += ["--offset", str(offset), "--out", str(folder / f"{out}.parquet")]
        assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0
    return folder


def test_two_files_of_extract_are_compared_row_by_row(
    extracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADPIPE_HOME", str(tmp_path / "never"))
    small, heavy, rest = (str(extracts / f"{name}.parquet") for name in ("small", "heavy", "rest"))
    rows = table(heavy, small)
    assert rows.height == 4 * 2 * 2
    assert rows["paired"].all()
    assert rows["style"].is_null().all()
    apart = table(heavy, small, "--unpaired")
    assert not apart["paired"].any()
    assert apart["a"].equals(rows["a"])
    assert (apart["high"] / apart["low"]).mean() > (rows["high"] / rows["low"]).mean()
    others = table(small, rest, "--on", "sigma1_ratio")
    assert not others["paired"].any()
    assert others["items_b"].unique().to_list() == [ITEMS]
    assert not (tmp_path / "never").exists()


def test_a_name_with_brackets_is_no_pattern(extracts: Path, tmp_path: Path) -> None:
    copy = tmp_path / "a[1].parquet"
    shutil.copy(extracts / "small.parquet", copy)
    assert table(str(copy), str(extracts / "heavy.parquet")).height == 4 * 2 * 2


def test_other_parquet_files_are_refused(tmp_path: Path, extracts: Path) -> None:
    good, other, broken = (
        str(extracts / "small.parquet"),
        tmp_path / "o.parquet",
        tmp_path / "b.parquet",
    )
    pl.DataFrame({"example": [1], "layer": [0]}).write_parquet(other)
    broken.write_bytes(b"PAR1")
    refused(compare(good, str(other)), "o.parquet", "'projection'", "gradpipe extract")
    refused(compare(good, str(broken)), "b.parquet", "Parquet")
    refused(compare(good, str(tmp_path / "gone.parquet")), "gone.parquet")
