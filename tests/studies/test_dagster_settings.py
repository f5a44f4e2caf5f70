"""Owners, tags and freshness in a study: what Dagster accepts, and no more."""

import json
from typing import Any

import dagster as dg
import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.load import parse_study, study_yaml
from gradpipe.studies.study import Study

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"


def parsed(**settings: Any) -> Study:
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in settings.items()]
    return parse_study(BASE + "".join(lines), "here")


def test_they_are_kept_as_they_are_written_and_left_out_otherwise() -> None:
    study = parsed(owners=["team:ml", "a@b.org"], tags={"ns/key": "1.0"}, freshness_days=0.5)
    assert (study.owners, study.tags, study.freshness_days) == (
        ("team:ml", "a@b.org"),
        {"ns/key": "1.0"},
        0.5,
    )
    assert parse_study(study_yaml(study), "again") == study
    assert study_yaml(parsed()).count("owners") == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("owners", [owner]) for owner in ("ml", "team:", "team: ", "a@b", "a b@c.org", "")),
        *(("tags", tags) for tags in ({"a b": "1"}, {"": "1"}, {"k": "a b"}, {"k": "x" * 64})),
        *(("tags", tags) for tags in ({"dagster/kind/x": ""}, {"k": 1}, {"a/b/c": "1"})),
        *(("freshness_days", days) for days in (0, -1, "soon", True, 1e9)),
    ],
)
def test_what_dagster_would_refuse_is_refused_with_the_setting(key: str, value: object) -> None:
    with pytest.raises(StudyError, match=f"'{key}"):
        parsed(**{key: value})


def test_what_is_accepted_is_accepted_by_dagster() -> None:
    owners = ["team:x", "a@b.org", "first.last@mail.example.org"]
    tags = {"a": "", "A-b_c.d": "1", "ns/key": "x" * 63}
    study = parsed(owners=owners, tags=tags)
    spec = dg.AssetSpec("any", owners=study.owners, tags=study.tags)
    assert list(spec.owners) == owners
