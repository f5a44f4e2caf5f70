"""A study with several mistakes: all of them in one message, each with its line."""

import re
from pathlib import Path

import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.load import parse_study
from gradpipe.studies.mistakes import MOST_LISTED

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"


def lines(text: str) -> list[str]:
    """What is said of a study of this text, a line for each mistake, and without the first."""
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml", Path("/folder"))
    first, *further = str(caught.value).split("\n")
    count = re.fullmatch(r"The study my\.yaml has (\d+) mistakes:", first)
    assert count
    assert int(count[1]) == len(further) or len(further) == MOST_LISTED + 1
    return [line.strip() for line in further]


MANY = """\
models:
  - demo
  - {id: demo, nmae: second}
  - ~no-such-user-here/model
benchmarks:
  - gsm8
  - {name: gsm8k, sampel: 3}
  - {name: mine, source: files, path: a.csv, split: test}
styles: [none, detaled, simplifed]
sampel: 5
protocol:
  max_lenght: 3
  dtype: float8
generator: {kind: opnai, temprature: 2}
statistics: [nuclear]
claims:
  - none > detailed on nuclear_norm
  - none > detailed on effectiv_rank
automation: maybe
"""
FOUND = [
    (3, "models.1.nmae", "'name'"),
    (4, "models.2", "is not a valid path"),
    (6, "benchmarks.0", "'gsm8k'"),
    (7, "benchmarks.1.sampel", "'sample'"),
    (8, "benchmarks.2", "`split`"),
    (9, "styles.1", "'detailed'"),
    (9, "styles.2", "'simplified'"),
    (10, "sampel", "'sample'"),
    (12, "protocol.max_lenght", "'max_length'"),
    (13, "protocol.dtype", "'bfloat16'"),
    (14, "generator.kind", "'openai'"),
    (14, "generator.temprature", "'temperature'"),
    (15, "statistics.0", "'nuclear_norm'"),
    (18, "claims.1", "'effective_rank'"),
    (19, "automation", "'maybe'"),
]


def test_every_mistake_is_named_with_its_line_its_key_and_what_is_right() -> None:
    said = lines(MANY)
    assert len(said) == len(FOUND)
    for line, (number, key, right) in zip(said, FOUND, strict=True):
        assert line.startswith(f"line {number}")
        assert key in line
        assert right in line


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        # A misspelled key is not missing as well, and other keys still are.
        ("modles: [demo]\nseed: -1", ["'modles'", "'seed'", "no 'benchmarks'"]),
        # Valid entries are compared although others are invalid.
        (
            "models: [demo, demo, {id: x, revison: y}]\nbenchmarks: [mini_maths]",
            ["names demo twice", "'models.2.revison'"],
        ),
        (
            "models: [{id: a, base: b}, {id: c, base: d}]\nbenchmarks: [mini_maths]",
            ["'b'", "'d'"],
        ),
        # Claims are read with the study's own statistics, if these are valid.
        (
            BASE
            + "statistics: [nuclear_norm]\nclaims: [none > detailed on effective_rank]\nseed: x",
            ["'effective_rank'", "'seed'"],
        ),
        (BASE + "protocol: {preset: papr, dtype: int8}", ["'paper'", "'dtype'"]),
    ],
)
def test_what_depends_on_several_settings_is_found_too(text: str, parts: list[str]) -> None:
    said = "\n".join(lines(text))
    assert all(part in said for part in parts)
    assert said.count("\n") + 1 == len(parts)


STYLES = """\
models: [demo]
benchmarks:
  - {name: q, source: files, path: a.csv, styles: [teacher_a, teacher_b]}
  - {name: r, source: files, path: b.csv, styles: [techer_c]}
styles:
  teacher_a: {color: blue}
  teacher_b:
    label: B
    colr: x
    column: 3
  teacher_c:
  Teacher D:
  teacher_e: {label: E}
  teacher_f: {label: e}
  rejected: none
claims:
  - teacher_a > teacher_b on effective_rank
  - teacher_a > teacher_d on effective_rank
"""


def test_each_mistake_in_a_style_is_named_and_its_name_still_counts() -> None:
    said = lines(STYLES)
    expected = [
        (4, "benchmarks.1", "'teacher_c'"),
        (5, "styles", "'teacher_e' and 'teacher_f' have the same `label`"),
        (6, "styles.teacher_a.color", "#0072B2"),
        (9, "styles.teacher_b.colr", "'color'"),
        (10, "styles.teacher_b.column", "`column`"),
        (12, "styles.Teacher D", "small letter"),
        (15, "styles.rejected", "part of a claim"),
        (15, "styles.rejected", "give a mapping"),
        (18, "claims.1", "'teacher_d'"),
    ]
    assert len(said) == len(expected)
    for line, (number, key, right) in zip(said, expected, strict=True):
        assert line.startswith(f"line {number} ({key}")
        assert right in line


def test_valid_settings_are_not_blamed() -> None:
    said = lines(
        BASE + "protocol: {preset: training, end_of_turn: true}\nstyles: [none]\n"
        "claims: [none > detailed on nuclear_norm]\nunknown: 1\nother: 2"
    )
    assert [line.split("'")[1] for line in said] == ["unknown", "other"]


def test_a_long_list_of_mistakes_is_cut() -> None:
    text = BASE + "".join(f"unknown_{number}: 1\n" for number in range(MOST_LISTED + 7))
    assert lines(text)[-1] == "and 7 more"
