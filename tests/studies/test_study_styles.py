"""A study's own styles: declared with order, label, color and column, and read back the same."""

from pathlib import Path

import pytest

from gradpipe.benchmarks.read import source_version
from gradpipe.claims.schemas import COMPARISON_SOURCE
from gradpipe.errors import StudyError
from gradpipe.studies.load import parse_study, study_yaml
from gradpipe.studies.study import Study

BASE = "models: [demo]\nbenchmarks: [{name: mine, source: files, path: answers.csv}]\n"
TWO = 'styles: {teacher_b: {label: B, color: "#8B008B"}, teacher_a: {column: GPT-4o}}\n'


def study(styles: str, rest: str = "") -> Study:
    return parse_study(BASE + styles + "\n" + rest, "mine.yaml")


def test_what_a_study_declares_reads_back_in_its_order() -> None:
    declared = study(TWO)
    kept = parse_study(study_yaml(declared), "kept.yaml")
    assert kept == declared
    assert kept.styles is not None
    assert kept.styles.labels == {"teacher_b": "B"}
    assert kept.styles.colors == {"teacher_b": "#8B008B"}
    assert list(kept.styles) == ["teacher_b", "teacher_a"]
    assert study(TWO.replace("8B", "7B")) != declared


def test_labels_colors_and_order_change_no_data(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("instruction,teacher_b,GPT-4o\nq,x,y\n")
    others = "styles: {teacher_a: {column: GPT-4o, label: A}, teacher_b: }"
    studies = [parse_study(BASE + styles, "s.yaml", tmp_path) for styles in (TWO, others)]
    benchmarks = [one.benchmark("mine") for one in studies]
    styles = [one.styles_of(benchmark) for one, benchmark in zip(studies, benchmarks, strict=True)]
    assert styles == [["teacher_a", "teacher_b"]] * 2
    assert len({source_version(benchmark) for benchmark in benchmarks}) == 1
    moved = parse_study(BASE + TWO.replace("GPT-4o", "teacher_b2"), "s.yaml", tmp_path)
    assert source_version(moved.benchmark("mine")) != source_version(benchmarks[0])


def test_two_teachers_are_compared_without_the_papers_claims() -> None:
    claims = study(TWO, "claims: [teacher_a > teacher_b on effective_rank]").all_claims()
    assert [claim.claim for claim in claims[:1]] == ["teacher_a > teacher_b on effective_rank"]
    assert {claim.source for claim in claims[1:]} == {COMPARISON_SOURCE}
    compared = {tuple(term.style for term in claim.terms) for claim in claims[1:]}
    assert compared == {("teacher_b", "teacher_a")}
    beside = study("styles: {none: , detailed: , teacher_a: }").all_claims()
    assert {"1a", "2"} & {claim.claim for claim in beside} == {"2"}
    assert ("none", "teacher_a") in {tuple(t.style for t in claim.terms) for claim in beside}


def test_a_benchmark_has_its_own_of_the_studys_styles() -> None:
    cut = "styles: {teacher_a: , teacher_b: {column: b}, teacher_a_cut: }"
    assert study(cut).benchmark("mine").own_styles == {"teacher_a": "teacher_a", "teacher_b": "b"}
    narrow = BASE.replace("}]", ", styles: [teacher_b]}]")
    assert parse_study(narrow + cut, "s").benchmark("mine").own_styles == {"teacher_b": "b"}
    with pytest.raises(StudyError, match="no style 'teacher_c': did you mean 'teacher_"):
        parse_study(narrow.replace("[teacher_b]", "[teacher_c]") + cut, "s")


@pytest.mark.parametrize(
    ("styles", "said"),
    [
        ("{Teacher: }", "'Teacher'.*small letter"),
        ("{rejected: }", "'rejected'.*part of a claim"),
        ("{teacher: {color: #0072B2\n}}", "'teacher' has an empty `color`.*quotes"),
        ("{teacher: {color: blue}}", "the color 'blue'.*#0072B2"),
        ("{teacher: {colr: x}}", "'colr': did you mean 'color'"),
        ("{a: {label: X}, b: {label: x}}", "'a' and 'b' have the same `label`"),
        ("{a: {column: b}, b: }", "'a' and 'b' have the same `column`"),
        ("{none: {column: x}}", "'none' is built in.*columns"),
        ("[teacher_a]", "no style 'teacher_a'"),
    ],
)
def test_a_mistake_in_a_style_is_named(styles: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(f"styles: {styles}")
