"""`gradpipe correlate` as a user types it: what it prints, what it writes, what it refuses."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal
from scipy import stats

from gradpipe.cli import main
from gradpipe.statistics.correlation import CORRELATION_SCHEMA
from gradpipe.statistics.reductions import REDUCTIONS

WORDS = ["One", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
ROWS = [
    {"instruction": f"Say {n}.", "output": " ".join(WORDS[: n + 1]), "quality": [3, 1, 2][n % 3]}
    for n in range(len(WORDS))
]
ROWS[4]["output"] = ""
ROWS[5]["quality"] = "unknown"


def gradpipe(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("gradpipe: ")
    for word in words:
        assert word in message


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.csv"
    pl.DataFrame(ROWS, strict=False, schema_overrides={"quality": pl.String}).write_csv(path)
    return path


@pytest.fixture(scope="module")
def spectra(data: Path, small_model: Path) -> Path:
    out = data.with_name("spectra.parquet")
    assert gradpipe("extract", data, "--model", small_model, "--out", out).exit_code == 0
    return out


def test_every_statistic_is_correlated_with_the_users_column(
    data: Path, spectra: Path, small_model: Path
) -> None:
    out = data.with_name("out.csv")
    words = ("--column", "quality", "--out", out, "--overwrite", "--json")
    result = gradpipe("correlate", data, "--model", small_model, *words)
    assert result.exit_code == 0, result.output
    assert "1 rows have no number in the column 'quality'" in result.stderr
    # Three layers and their mean, of four projections, and the mean of all; two baselines.
    found = pl.read_csv(out, schema=CORRELATION_SCHEMA)
    assert found.height == len(REDUCTIONS) * (4 * 4 + 1) + 2
    table = pl.DataFrame(
        json.loads(result.stdout.splitlines()[-1])["correlations"], schema=CORRELATION_SCHEMA
    )
    assert_frame_equal(table, found)

    exact = pl.read_parquet(spectra).filter(projection="v", layer=1)
    exact = exact.filter(pl.col("example") != 5)
    quality = [ROWS[number]["quality"] for number in exact["example"]]
    row = found.filter(statistic="nuclear_norm", projection="v", layer=1).row(0, named=True)
    expected = stats.spearmanr(exact["nuclear_norm"], quality)
    assert row["examples"] == len(ROWS) - 2
    assert row["rho"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(expected.pvalue)


def test_existing_spectra_give_the_same_table_without_a_model(
    data: Path, spectra: Path, small_model: Path
) -> None:
    outs = [data.with_name(f"{n}.parquet") for n in (1, 2)]
    words = ("--column", "quality", "--by", "nuclear_norm, top4_energy", "--control", "loss,tokens")
    for out, source in zip(outs, (("--model", small_model), ("--spectra", spectra)), strict=True):
        assert gradpipe("correlate", data, *words, *source, "--out", out).exit_code == 0
    assert_frame_equal(*map(pl.read_parquet, outs), abs_tol=1e-6)


def test_baselines_and_the_strongest_partial_correlations_are_printed(
    data: Path, spectra: Path
) -> None:
    result = gradpipe("correlate", data, "--column", "quality", "--spectra", spectra)
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["statistic", "projection", "layer"]
    assert [line.split()[0] for line in lines[1:3]] == ["loss", "response_tokens"]
    assert len(lines) == 1 + 2 + 15 + 1
    assert lines[-1].split()[0] == str(len(ROWS) - 2)


def test_a_users_column_may_have_the_name_of_a_statistic(
    tmp_path: Path, data: Path, small_model: Path
) -> None:
    renamed = tmp_path / "renamed.csv"
    pl.read_csv(data).rename({"quality": "loss"}).write_csv(renamed)
    words = ("--model", small_model, "--by", "nuclear_norm", "--json")
    found, expected = (
        json.loads(gradpipe("correlate", path, "--column", name, *words).stdout.splitlines()[-1])
        for path, name in ((renamed, "loss"), (data, "quality"))
    )
    assert found["correlations"] == expected["correlations"]


def test_what_cannot_be_correlated_is_refused(data: Path, spectra: Path, tmp_path: Path) -> None:
    words = ("correlate", data, "--spectra", spectra)
    refused(gradpipe(*words, "--column", "qualty"), "'qualty'", "'quality'")
    refused(gradpipe(*words, "--column", "output"), "'output'", "numbers")
    refused(gradpipe(*words, "--column", "quality", "--by", "effectve_rank"), "'effective_rank'")
    refused(gradpipe(*words, "--column", "quality", "--control", "length"), "'length'")
    refused(gradpipe(*words, "--column", "quality", "--model", "demo"), "--model", "--spectra")
    refused(gradpipe("correlate", data, "--column", "quality"), "--model", "--spectra")
    refused(gradpipe(*words, "--column", "quality", "--out", tmp_path / "a.json"), ".csv")
    refused(gradpipe(*words, "--column", "quality", "--out", spectra), "--overwrite")
    other = tmp_path / "other.csv"
    pl.read_csv(data).reverse().write_csv(other)
    refused(gradpipe("correlate", other, "--spectra", spectra, "--column", "quality"), "other.csv")
    refused(
        gradpipe("correlate", data, "--spectra", data, "--column", "quality"), "gradpipe extract"
    )
