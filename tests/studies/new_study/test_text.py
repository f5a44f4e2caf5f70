"""A new study as text: it reads back as what was chosen, and its comments are true."""

from pathlib import Path

import pytest
import yaml

from gradpipe.studies.load import parse_study
from gradpipe.studies.new_study.data_entry import DataEntry
from gradpipe.studies.new_study.model_entry import ModelChoice
from gradpipe.studies.new_study.text import NewStudy, default_sample, new_study_text
from gradpipe.studies.schema import study_schema

ODD = 'it\'s: a # "name" \U0001f600 [x], no'
OWN = DataEntry(
    {"name": ODD, "source": "files", "path": f"./{ODD}.csv", "columns": {"instruction": ODD}},
    ODD,
    ("none", "detailed"),
    12,
    rejected=True,
    origin=f"{ODD}\nseed: 7 # \x1b[31m",
)
STUDY = NewStudy(
    name=ODD,
    title=ODD,
    models=[
        ModelChoice({"id": f"./{ODD}", "name": "own"}, "own", "x"),
        ModelChoice("a/b", "b", ""),
    ],
    data=[OWN, DataEntry("mini_maths", "mini_maths", ("none",), 12)],
    sample=12,
)


def test_any_names_and_paths_read_back() -> None:
    study = parse_study(new_study_text(STUDY, "a\nb.yaml"), "new.yaml", Path("/folder"))
    assert (study.name, study.title, study.sample, study.seed) == (ODD, ODD, 12, 0)
    assert [model.name for model in study.models] == ["own", "a/b"]
    assert study.models[0].id == f"/folder/{ODD}"
    own, mini = study.benchmarks
    assert (own.path, own.columns.instruction) == (f"/folder/{ODD}.csv", ODD)
    assert (own.name, mini.name) == (ODD, "mini_maths")
    assert study.relevances == ("correct", "irrelevant", "rejected")


def test_what_is_commented_out_is_valid() -> None:
    text = new_study_text(STUDY, "new.yaml")
    for commented in ("# styles:", "# claims:", "#   - none >", "# family:"):
        assert commented in text
        text = text.replace(commented, commented.removeprefix("# ").replace("#  ", " "))
    study = parse_study(text, "new.yaml", Path("/folder"))
    assert study.styles == ("none", "detailed")
    assert study.claims == ("none > detailed on nuclear_norm",)
    assert study.benchmarks[0].family == "math"


def test_it_is_valid_for_editors() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(yaml.safe_load(new_study_text(STUDY, "new.yaml")), study_schema())


@pytest.mark.parametrize(
    ("items", "sample"), [([12], 12), ([5, 500], 100), ([None], 100), ([5, None], 100)]
)
def test_the_sample_is_no_larger_than_the_data(items: list[int | None], sample: int) -> None:
    assert default_sample([DataEntry("x", "x", items=count) for count in items]) == sample
