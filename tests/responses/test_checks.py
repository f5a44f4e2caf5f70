"""Whether styles are as long as their names promise, on the mini benchmarks and the release."""

from pathlib import Path

import polars as pl
import pytest

from gradpipe.responses.checks import check_lengths
from gradpipe.studies.examples import study_examples, study_items
from gradpipe.studies.study import Study


def examples(*responses: tuple[str, str, str], relevance: str = "correct") -> pl.DataFrame:
    """Examples of (item, style, response)."""
    frame = pl.DataFrame(responses, schema=["item_id", "style", "response"], orient="row")
    return frame.with_columns(pl.lit(relevance).alias("relevance"))


def test_the_styles_of_the_mini_benchmarks_grow_longer() -> None:
    study = Study.model_validate({"models": [], "benchmarks": ["mini_maths", "mini_popular"]})
    for benchmark in study.benchmarks:
        check = check_lengths(
            study_examples(study, benchmark, study_items(study, benchmark)).examples
        )
        assert check.passed
        assert set(check.numbers.values()) == {1.0}


@pytest.mark.parametrize("name", ["gsm8k", "ecqa", "math_geometry", "wiki_popular"])
def test_the_styles_of_the_release_grow_longer(name: str, shared: Path) -> None:
    release = {"name": name, "source": "release", "path": str(shared / "layer-gradient")}
    study = Study.model_validate({"models": [], "benchmarks": [release], "relevances": ["correct"]})
    (benchmark,) = study.benchmarks
    check = check_lengths(study_examples(study, benchmark, study_items(study, benchmark)).examples)
    assert check.passed
    assert all(share >= 0.94 for share in check.numbers.values())


def test_detailed_responses_that_are_short_are_found() -> None:
    check = check_lengths(examples(("1", "simplified", "two and two"), ("1", "detailed", "four")))
    assert not check.passed
    assert check.numbers == {"detailed over simplified": 0.0}
    assert "0.0% of the items" in check.note


def test_one_short_one_in_ten_is_no_fault() -> None:
    rows = [(str(n), "none", "x") for n in range(10)]
    rows += [(str(n), "simplified", "xy" if n else "") for n in range(10)]
    assert check_lengths(examples(*rows)).passed
    assert not check_lengths(examples(*rows, ("10", "none", "x"), ("10", "simplified", ""))).passed


def test_irrelevant_responses_and_lone_styles_are_not_compared() -> None:
    rows = [("1", "simplified", "two and two"), ("1", "detailed", "four")]
    assert check_lengths(examples(*rows, relevance="irrelevant")).passed
    assert check_lengths(examples(("1", "detailed", "four"))).note.startswith("there are no")
