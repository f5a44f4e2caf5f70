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


def test_available_models_and_benchmarks_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    # Weights are never read beyond their header, which is that of no tensor.
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    found = list(examine_study(study_of(tmp_path, "mini_obscure", "mini_maths")))
    assert [each.state for each in found] == ["ok", "ok"]
    for finding, names in zip(found, (["small"], ["mini_obscure", "mini_maths"]), strict=True):
        assert all(name in finding.found for name in names)


def test_missing_models_and_benchmarks_are_named_beside_available_ones(tmp_path: Path) -> None:
    mine = {"name": "mine", "source": "files", "path": str(tmp_path / "gone"), "family": "math"}
    study = study_of(tmp_path / "gone", "mini_obscure").model_copy(update={"benchmarks": ()})
    study = type(study).model_validate(study.model_dump() | {"benchmarks": ["mini_obscure", mine]})
    model, mine_found, reached = examine_study(study)
    assert (model.state, mine_found.state, reached.state) == ("fault", "fault", "ok")
    assert "check the path" in model.cure
    assert "gone" in mine_found.cure
    assert "mini_obscure" in reached.found
