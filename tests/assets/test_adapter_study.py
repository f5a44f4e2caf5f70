"""A study of a model, an adapter merged into it, and the adapter's factors."""

from pathlib import Path

from transformers import AutoModelForCausalLM

from gradpipe.studies.study import Study
from storage.workspace import Workspace
from tests.adapted_models import adapted
from tests.assets.conftest import run
from tests.conftest import study_of


@pytest.mark.slow
def test_an_adapter_is_measured_in_both_readings_beside_its_base(
    home: Path, small_model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "run" / "checkpoint-10"
    model = AutoModelForCausalLM.from_pretrained(small_model)
    adapted(model, ["q_proj", "v_proj"], layers_to_transform=[0, 2]).save_pretrained(adapter)
    models = [
        {"id": str(small_model), "name": "small"},
        {"id": str(adapter), "name": "tuned", "base": "small"},
        {"id": str(adapter), "name": "factors", "base": "small", "adapter": "factors"},
    ]
    study: Study = study_of(small_model, "mini_maths", models=models)
    workspace = Workspace.current()
    workspace.keep_study(study)
    run(study)
    found = {
        name: set(workspace.statistics(name, "mini_maths").read()["projection"].unique().to_list())
        for name in ("small", "tuned", "factors")
    }
    assert found["small"] == found["tuned"] == {"q", "k", "v", "o"}
    assert found["factors"] == {"q_lora_a", "q_lora_b", "v_lora_a", "v_lora_b"}
