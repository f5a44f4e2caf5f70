"""The demo's label says which weights it is; no two models have one label."""

from gradpipe.models.source import DEMO_HUB_ID, ModelSource
from gradpipe.studies.model_labels import model_labels

FILE = ModelSource("gguf", "/packages/SmolLM2-135M-Instruct.Q4_1.gguf")
HUB = ModelSource("hub", DEMO_HUB_ID)


def test_the_demo_of_a_file_and_that_of_the_hub_have_different_labels() -> None:
    file = model_labels({"demo": ("demo", FILE)})
    hub = model_labels({"demo": ("demo", HUB)})
    assert file == {"demo": "SmolLM2-135M-Instruct (4-bit GGUF)"}
    assert hub == {"demo": "SmolLM2-135M-Instruct (full weights)"}


def test_other_models_and_the_users_own_names_keep_their_names() -> None:
    assert model_labels({"mine": ("demo", FILE), "Qwen2": ("Qwen/Qwen2", HUB)}) == {}


def test_a_label_that_another_model_has_as_its_name_is_told_apart() -> None:
    taken = "SmolLM2-135M-Instruct (4-bit GGUF)"
    labels = model_labels({"demo": ("demo", FILE), taken: ("x", HUB)})
    assert labels == {"demo": f"{taken} [demo]"}
