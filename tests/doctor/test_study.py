"""Models and benchmarks that cannot be reached are each named, and no weights are read."""

from pathlib import Path

import pytest

import gradpipe.models.load
from gradpipe.doctor.study import examine_study
from tests.conftest import study_of


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(gradpipe.models.load, "load_source", load)


def test_a_study_that_is_well_names_what_it_reaches(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    found = list(examine_study(study_of(tmp_path, "mini_obscure", "mini_maths")))
    assert [str(each) for each in found] == [
        "model small can be reached",
        "benchmark mini_obscure, mini_maths can be reached",
    ]


def test_what_is_gone_is_told_beside_what_is_there(tmp_path: Path) -> None:
    mine = {"name": "mine", "source": "files", "path": str(tmp_path / "gone"), "family": "math"}
    study = study_of(tmp_path / "gone", "mini_obscure").model_copy(update={"benchmarks": ()})
    study = type(study).model_validate(study.model_dump() | {"benchmarks": ["mini_obscure", mine]})
    model, mine_found, reached = examine_study(study)
    assert (model.state, mine_found.state, reached.state) == ("fault", "fault", "ok")
    assert "check the path" in model.cure
    assert "gone" in mine_found.cure
    assert reached.found == "benchmark mini_obscure can be reached"
