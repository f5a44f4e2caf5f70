"""Scores of examples, and their order."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.standalone.ranking import SCORE_SCHEMA, rank_scores, score_rows, score_spectra_file
from gradpipe.standalone.spectra_table import spectra_table
from gradpipe.statistics.reductions import REDUCTIONS


def rows(
    *numbers: int, unusable: tuple[int, ...] = (), short: tuple[int, ...] = ()
) -> pl.DataFrame:
    """Rows with random spectra of 30 values, or of 5, at two layers and two projections."""
    draw = np.random.default_rng(sum(numbers))

    def row(number: int) -> dict[str, Any]:
        values = 5 if number in short else 30
        return {
            "row": number,
            "loss": 0.5 + number,
            "tokens": 9,
            "response_tokens": 3,
            "truncated": False,
            "reason": "the response is empty" if number in unusable else None,
            "seconds": 0.1,
            "matrices": []
            if number in unusable
            else [
                {
                    "layer": layer,
                    "projection": projection,
                    "frobenius_norm": 2.0,
                    "singular_values": np.sort(draw.lognormal(size=values))[::-1],
                    "token_norms": 3.0 + layer,
                    "token_energy": 4.0 + number,
                }
                for layer in (0, 1)
                for projection in "qo"
            ],
            "layers": [],
        }

    return pl.DataFrame([row(number) for number in numbers], schema=ROW_SCHEMA)


def twin(frame: pl.DataFrame, number: int) -> float:
    """The mean effective rank of one row's matrices, by its definition."""
    (record,) = frame.filter(row=number).to_dicts()
    ranks = []
    for matrix in record["matrices"]:
        sigma = np.asarray(matrix["singular_values"], dtype=np.float64)
        p = sigma / sigma.sum()
        ranks.append(math.exp(-(p * np.log(p)).sum()))
    return float(np.mean(ranks))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """What an extraction of rows 0 to 3 writes; row 2 is unusable, row 3 has short spectra."""
    path = tmp_path / "spectra.parquet"
    metadata = {"unusable": json.dumps([[2, "the response is empty"]])}
    whole = spectra_table(rows(0, 1, 2, 3, unusable=(2,), short=(3,)))
    whole.write_parquet(path, metadata=metadata)
    return path


def test_a_score_is_the_mean_over_layers_and_projections_batch_by_batch() -> None:
    frames = [rows(4, unusable=(4,)), rows(2, 0), rows(1, 3)]
    scores = score_rows(frames, "effective_rank")
    assert scores.schema == SCORE_SCHEMA
    assert scores["row"].to_list() == [0, 1, 2, 3, 4]
    for frame in frames[1:]:
        for number in frame["row"]:
            (score,) = scores.filter(row=number)["score"]
            assert score == pytest.approx(twin(frame, number), rel=1e-12)
    assert scores.row(4) == (4, None, "the response is empty")
    assert scores["reason"].null_count() == 4


@pytest.mark.parametrize("name", list(REDUCTIONS))
def test_a_table_gives_the_scores_that_its_rows_give(name: str, table: Path) -> None:
    made_of = rows(0, 1, 2, 3, unusable=(2,), short=(3,))
    expected, found = score_rows([made_of], name), score_spectra_file(table, name)
    assert found.schema == SCORE_SCHEMA
    assert found.drop("score").equals(expected.drop("score"))
    for one, other in zip(found["score"], expected["score"], strict=True):
        assert one == (other if other is None else pytest.approx(other, rel=1e-9))


def test_an_example_that_has_not_the_statistic_says_so(table: Path) -> None:
    scores = score_spectra_file(table, "tail_exponent")
    assert scores["score"].is_null().to_list() == [False, False, True, True]
    assert "response" in scores["reason"].to_list()[2]
    assert "tail_exponent" in scores["reason"].to_list()[3]


def test_a_table_without_spectra_gives_the_statistics_that_it_has(table: Path) -> None:
    pl.read_parquet(table).drop("singular_values").write_parquet(table)
    assert score_spectra_file(table, "effective_rank")["row"].to_list() == [0, 1, 3]
    with pytest.raises(StudyError, match="'stable_rank'.* effective_rank"):
        score_spectra_file(table, "stable_rank")


def test_a_statistic_that_is_not_known_is_answered_with_the_nearest(table: Path) -> None:
    for score in (lambda by: score_rows([], by), lambda by: score_spectra_file(table, by)):
        with pytest.raises(StudyError, match="'effective_rank'"):
            score("efective_rank")


@pytest.mark.parametrize("content", [None, b"", b"example,score\n", "no example"])
def test_a_file_that_is_no_table_of_spectra_is_refused(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "spectra.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        pl.DataFrame({"layer": [1]}).write_parquet(path)
    with pytest.raises(DataError, match=r"spectra\.parquet .*`gradpipe extract`"):
        score_spectra_file(path, "effective_rank")


def scores(*values: float | None) -> pl.DataFrame:
    reasons = [None if value is not None else "empty" for value in values]
    return pl.DataFrame(
        {"row": range(len(values)), "score": values, "reason": reasons}, schema=SCORE_SCHEMA
    )


def test_the_largest_come_first_and_those_without_a_score_last() -> None:
    given = scores(2.0, None, 5.0, 2.0, None, 1.0)
    down = rank_scores(given)
    assert down.columns == ["row", "score", "reason", "rank"]
    assert down["row"].to_list() == [2, 0, 3, 5, 1, 4]
    assert down["rank"].to_list() == [1, 2, 3, 4, None, None]
    assert down["reason"].to_list() == [None] * 4 + ["empty"] * 2
    up = rank_scores(given, ascending=True)
    assert up["row"].to_list() == [5, 0, 3, 2, 1, 4]
    assert up["rank"].to_list() == [1, 2, 3, 4, None, None]


@pytest.mark.parametrize(
    ("top", "kept"),
    [
        (1, [2]),
        (3, [2, 0, 3]),
        (99, [2, 0, 3, 5]),
        (0.25, [2]),
        (0.26, [2, 0]),
        (1.0, [2, 0, 3, 5]),
    ],
)
def test_the_first_are_a_number_or_a_share_of_those_with_a_score(
    top: int | float, kept: list[int]
) -> None:
    assert rank_scores(scores(2.0, None, 5.0, 2.0, None, 1.0), top=top)["row"].to_list() == kept


def test_nothing_with_a_score_is_no_failure() -> None:
    assert rank_scores(scores(None, None))["row"].to_list() == [0, 1]
    assert rank_scores(scores(None, None), top=0.5).height == 0
    assert rank_scores(scores()).height == 0
