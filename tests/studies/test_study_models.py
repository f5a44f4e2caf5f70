"""The models of a study are found with the base and the reading that their settings name."""

import json
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import fingerprint
from gradpipe.studies.study_models import find_study_model
from tests.conftest import study_of


@pytest.fixture
def adapter(small_model: Path, tmp_path: Path) -> Path:
    model = AutoModelForCausalLM.from_pretrained(small_model)
    folder = tmp_path / "adapter"
    get_peft_model(model, LoraConfig(target_modules=["q_proj"])).save_pretrained(folder)
    return folder


def test_the_base_of_an_adapter_is_the_studys_model_that_it_names(
    small_model: Path, other_model: Path, adapter: Path
) -> None:
    models = [
        {"id": str(other_model), "name": "other"},
        {"id": str(small_model), "name": "plain", "base": "other"},
        {"id": str(adapter), "name": "by itself"},
        {"id": str(adapter), "name": "on other", "base": "other"},
        {"id": str(adapter), "name": "factors", "adapter": "factors"},
    ]
    study = study_of(small_model, "mini_maths", models=models)
    found = {model.name: find_study_model(study, model.name) for model in study.models}
    bases = {name: source.base.id if source.base else None for name, source in found.items()}
    assert bases == {
        "other": None,
        "plain": None,
        "by itself": str(small_model),
        "on other": str(other_model),
        "factors": str(small_model),
    }
    assert found["factors"].adapter == "factors"
    assert len({fingerprint(source) for source in found.values()}) == len(models)
    assert ("other", "on other") in study.model_pairs()


def test_a_missing_base_stops_the_adapter_and_no_other_model(
    small_model: Path, adapter: Path
) -> None:
    settings = adapter / "adapter_config.json"
    gone = json.loads(settings.read_text()) | {"base_model_name_or_path": "/nowhere"}
    settings.write_text(json.dumps(gone))
    models = [{"id": str(small_model), "name": "small"}, {"id": str(adapter), "name": "lost"}]
    study = study_of(small_model, "mini_maths", models=models)
    assert find_study_model(study, "small").id == str(small_model)
    with pytest.raises(ModelError, match=r"The base model '/nowhere' of the adapter .* cannot"):
        find_study_model(study, "lost")
