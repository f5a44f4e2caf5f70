"""Which rows are measured, and what happens where the release is out of reach."""

from pathlib import Path

import pytest

from bench import data
from bench.data import around_median, encode_style, find_source, spread
from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items
from gradpipe.errors import DataError
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel


def rows(*lengths: int) -> list[TokenRow]:
    return [TokenRow([0] * length, 1, False) for length in lengths]


def test_the_naive_rows_are_spread_over_the_lengths() -> None:
    some = rows(50, 10, 30, 20, 60, 40)
    assert spread(some, 3) == [3, 5, 4]
    assert spread(some, 1) == [5]
    assert spread(some, 0) == []
    assert sorted(spread(some, 99)) == [0, 1, 2, 3, 4, 5]


def test_the_tuning_rows_are_around_the_median_length() -> None:
    some = rows(50, 10, 30, 20, 40)
    assert around_median(some, 95) == [2, 3, 4]
    assert around_median(some, 1) == [2]
    assert sorted(around_median(some, 1000)) == [0, 1, 2, 3, 4]


def test_a_users_table_is_encoded_per_style(loaded: LoadedModel, table: Path) -> None:
    source = find_source(table)
    assert source.name == "sums.jsonl"
    assert len(encode_style(loaded, source, "none", 32)) == 4
    short, long = (encode_style(loaded, source, style, 2) for style in ("none", "detailed"))
    assert len(short) == len(long) == 2
    assert short[0].response_tokens < long[0].response_tokens


def test_without_the_release_the_small_benchmark_is_used_and_named(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(config: BenchmarkConfig) -> object:
        if config.source == "release":
            raise DataError("no network")
        return read_items(config)

    monkeypatch.setattr(data, "read_items", unreachable)
    monkeypatch.setattr(data, "BESIDE", tmp_path / "nowhere")
    source = find_source()
    assert "mini_maths" in source.name
    assert "could not be reached" in source.name
    for style in ("none", "simplified", "detailed"):
        assert encode_style(loaded, source, style, 2)
    with pytest.raises(DataError, match="no network"):
        find_source(tmp_path)


def test_the_release_is_read_from_beside_the_project(shared: Path) -> None:
    assert shared / "layer-gradient" == data.BESIDE
    source = find_source()
    assert source.name == "GSM8K of the paper's release"
    assert len(source.items) == 500
