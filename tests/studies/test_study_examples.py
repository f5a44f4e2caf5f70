"""A study's choices applied to a benchmark: its own settings first, then the study's."""

from pathlib import Path

import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.studies.examples import study_calls, study_examples, study_items
from gradpipe.studies.load import parse_study
from gradpipe.studies.study import Study


def study(settings: str = "", benchmark: str = "") -> Study:
    return parse_study(
        f"models: []\nbenchmarks: [{{name: mini_maths{benchmark}}}]\n{settings}", "my.yaml"
    )


def items(study: Study) -> pl.DataFrame:
    return study_items(study, study.benchmarks[0])


def examples(study: Study) -> pl.DataFrame:
    return study_examples(study, study.benchmarks[0], items(study)).examples


def test_without_a_sample_every_item_is_taken() -> None:
    whole = items(study())
    assert whole.height >= 12
    assert whole["index"].to_list() == list(range(whole.height))


def test_a_study_takes_as_many_items_as_it_says_or_as_the_benchmark_does() -> None:
    assert items(study("sample: 4")).height == 4
    assert items(study("sample: 4", ", sample: 2")).height == 2
    assert items(study("", ", sample: 2")).height == 2


def test_the_first_items_or_a_seeded_few_are_taken() -> None:
    assert items(study("sample: 3\nsampling: first"))["index"].to_list() == [0, 1, 2]
    draws = [items(study(f"sample: 3\nseed: {n}"))["index"].to_list() for n in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1


def test_every_style_and_relevance_is_made_unless_the_study_names_some() -> None:
    def kinds(study: Study) -> set[tuple[str, str]]:
        return set(examples(study).select("style", "relevance").unique().iter_rows())

    styles, relevances = ("none", "simplified", "detailed"), ("correct", "irrelevant")
    assert kinds(study("sample: 4")) == {(s, r) for s in styles for r in relevances}
    assert kinds(study("sample: 4\nrelevances: [correct]")) == {(s, "correct") for s in styles}
    assert kinds(study("sample: 4\nstyles: [none]")) == {("none", r) for r in relevances}
    narrowed = study("sample: 4\nstyles: [none]", ", styles: [detailed]")
    assert kinds(narrowed) == {("detailed", r) for r in relevances}


def test_a_style_that_the_benchmark_lacks_is_refused() -> None:
    with pytest.raises(DataError, match="no response of the style 'article'"):
        examples(study("styles: [article]"))


@pytest.mark.parametrize(
    ("name", "right"), [("aqua", 64), ("creak", 249), ("sensemaking", 241), ("strategyqa", 250)]
)
def test_labels_of_the_release_that_are_right_are_no_irrelevant_responses(
    name: str, right: int, shared: Path
) -> None:
    release = {"name": name, "source": "release", "path": str(shared / "layer-gradient")}
    published = Study.model_validate(
        {"models": [], "benchmarks": [release], "styles": ["none"], "irrelevant": "release"}
    )
    counts = dict(examples(published).group_by("relevance").len().iter_rows())
    assert counts == {"correct": 500, "irrelevant": 500 - right}


def test_the_release_as_published_keeps_labels_that_are_right(shared: Path) -> None:
    release = {"name": "aqua", "source": "release", "path": str(shared / "layer-gradient")}
    settings = {"models": [], "benchmarks": [release], "styles": ["none"]}
    published = Study.model_validate({**settings, "irrelevant": "release_as_published"})
    counts = dict(examples(published).group_by("relevance").len().iter_rows())
    assert counts == {"correct": 500, "irrelevant": 500}


def test_verified_responses_are_those_that_the_gates_passed(shared: Path) -> None:
    release = {"name": "math_geometry", "source": "release", "path": str(shared / "layer-gradient")}
    settings = {"models": [], "benchmarks": [release], "styles": ["detailed"], "sample": 60}
    every = examples(Study.model_validate(settings))
    verified = examples(Study.model_validate({**settings, "correct": "verified"}))
    passed = every.filter(relevance="correct", verdict="passed")
    assert 0 < passed.height < 60
    assert verified.filter(relevance="correct").equals(passed)
    texts = set(passed["response"])
    assert set(verified.filter(relevance="irrelevant")["response"]) <= texts
    assert set(verified["example_id"]) < set(every["example_id"])


def test_a_rationale_is_thinking_only_where_the_study_lists_it() -> None:
    assert not {"thinking", "answer_only"} & set(examples(study("sample: 4"))["style"])
    listed = examples(study("sample: 4\nstyles: [answer_only, thinking]"))
    correct = listed.filter(relevance="correct")
    assert correct.group_by("style").len().sort("style").rows() == [
        ("answer_only", 4),
        ("thinking", 4),
    ]
    assert correct["verdict"].unique().to_list() == ["passed"]
    thinking = correct.filter(style="thinking")["response"]
    assert thinking.str.starts_with("<think>\n").all()


def test_calls_of_a_generator_come_before_a_rationale() -> None:
    written = study(
        "sample: 2\nstyles: [none, thinking]\n"
        "generator: {kind: openai, model: m, base_url: 'http://localhost:1/v1'}"
    )
    calls = study_calls(written, written.benchmarks[0], items(written))
    assert calls["style"].to_list() == ["thinking"] * 2
    unlisted = study(
        "sample: 2\nstyles: [none, thinking]\n"
        "generator: {kind: openai, model: m, base_url: 'http://localhost:1/v1', styles: [none]}"
    )
    assert study_calls(unlisted, unlisted.benchmarks[0], items(unlisted)).is_empty()


def test_wrong_responses_end_in_one_other_answer_in_every_style() -> None:
    chosen = study("sample: 4\nrelevances: [correct, wrong]\nseed: 5")
    found = examples(chosen)
    wrong = found.filter(relevance="wrong").with_columns(
        end=pl.col("response").str.extract(r"(\S+?)\.?$", 1)
    )
    assert wrong["style"].n_unique() == found["style"].n_unique()
    assert wrong.group_by("index").agg(pl.col("end").n_unique())["end"].to_list() == [1] * 4
    ids = found.filter(relevance="correct")["example_id"].to_list()
    alone = examples(study("sample: 4\nrelevances: [correct]\nseed: 5"))
    assert alone["example_id"].to_list() == ids
    assert set(wrong["example_id"]).isdisjoint(ids)
