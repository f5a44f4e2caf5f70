"""Columns of the user's tables, found by their names."""

from typing import Any

import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.studies.new_study.table_columns import guess_columns, guess_family, named_columns


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        # As gradpipe expects them.
        (["instruction", "answer", "none", "detailed"], {}),
        (["question", "none", "detailed"], {"instruction": "question"}),
        (
            ["Question", "Gold", "None", "Length 100"],
            {
                "instruction": "Question",
                "answer": "Gold",
                "responses": {"none": "None", "length_100": "Length 100"},
            },
        ),
        # Formats of training data need nothing.
        (["prompt", "completion"], {}),
        (["question", "answer"], {}),
    ],
)
def test_columns_are_found_whatever_their_case(columns: list[str], found: dict[str, Any]) -> None:
    assert guess_columns(columns) == found


def test_the_user_names_roles_and_styles() -> None:
    named = named_columns({"instruction": "q", "answer": "gold", "none": "short"})
    assert named == {"instruction": "q", "answer": "gold", "responses": {"none": "short"}}
    with pytest.raises(DataError, match="'detailed'"):
        named_columns({"detaled": "long"})


@pytest.mark.parametrize(
    ("answers", "family"),
    [
        (["12", " -3.5", "1,000", "$4", None], "math"),
        (["yes", "No", "(b)"], "commonsense"),
        (["Paris", "4"], None),
        ([None], None),
    ],
)
def test_the_family_follows_from_the_answers(answers: list[str | None], family: str | None) -> None:
    assert guess_family(pl.Series(answers, dtype=pl.String)) == family
