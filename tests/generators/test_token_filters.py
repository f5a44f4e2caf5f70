"""Which tokens a local model may sample."""

from typing import Any

import pytest
import torch

from gradpipe.errors import StudyError
from gradpipe.generators.token_filters import token_filters

SCORES = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))


def kept(**fields: Any) -> list[int]:
    scores = SCORES
    for one in token_filters(fields):
        scores = one(torch.zeros(1, 1, dtype=torch.long), scores)
    return torch.isfinite(scores[0]).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"top_k": 0, "min_p": 0}, [0, 1, 2, 3]),
        ({"top_k": -1}, [0, 1, 2, 3]),
        ({"top_k": 2}, [0, 1]),
        ({"top_p": 0.75}, [0, 1]),
        ({"min_p": 0.25}, [0, 1, 2]),
        ({"top_k": 3, "min_p": 0.5}, [0, 1]),
    ],
)
def test_a_filter_keeps_what_its_definition_says(
    fields: dict[str, Any], expected: list[int]
) -> None:
    assert kept(**fields) == expected


@pytest.mark.parametrize("fields", [{"top_k": 2.5}, {"top_k": -3}, {"top_p": 1.5}, {"min_p": "a"}])
def test_an_impossible_filter_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match=next(iter(fields))):
        token_filters(fields)
