"""An adapter's folder is loaded onto its base: merged into it, or with its factors."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, constants
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.find import find_model
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import load_model
from gradpipe.models.placement import Placement
from gradpipe.models.source import resolve_model
from gradpipe.models.weights_notes import weights_notes
from tests.adapted_models import ATTENTION, KINDS, adapted, randomize
from tests.models.conftest import configure
from tests.models.quantized_models import FP8, encode_fp8, quantize_folder

COMMIT = "c" * 40
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def adapter(folder: Path, tmp_path: Path) -> Path:
    """The folder of an adapter of the small model."""
    return save_adapter(folder, tmp_path / "run" / "checkpoint-100")


def save_adapter(base: Path, place: Path, **settings: Any) -> Path:
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted(model, settings.pop("targets", ATTENTION), **settings).save_pretrained(place)
    return place


def settings_of(adapter: Path, **changes: Any) -> None:
    configure(adapter, "adapter_config.json", **changes)


def merged(base: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """The weights after peft's own loading and merging."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    return dict(PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().state_dict())


def assert_same_weights(model: Any, expected: dict[str, Any]) -> None:
    found = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_into_the_base_that_it_names(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(folder, tmp_path / "adapter", **KINDS[kind])
    loaded = load_model(str(adapter))
    assert_same_weights(loaded.model, merged(folder, adapter))
    assert loaded.window == 4096
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.tokenizer.name_or_path == str(folder)


def test_the_weights_are_merged_in_the_precision_of_the_protocol(
    folder: Path, adapter: Path
) -> None:
    loaded = load_model(str(adapter), dtype="bfloat16")
    assert_same_weights(loaded.model, merged(folder, adapter, torch.bfloat16))


def test_a_full_model_beside_the_adapter_in_its_folder_is_not_what_is_measured(
    folder: Path, adapter: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, adapter)
    assert_same_weights(load_model(str(adapter)).model, merged(folder, adapter))


def test_the_factors_stay_beside_the_base(folder: Path, adapter: Path) -> None:
    loaded = load_model(str(adapter), adapter="factors")
    assert loaded.adapter == "factors"
    assert type(loaded.model).__name__ == "LlamaForCausalLM"
    stored = load_file(adapter / WEIGHTS)
    wrapper = loaded.model.model.layers[1].self_attn.k_proj
    for factor in "AB":
        name = f"base_model.model.model.layers.1.self_attn.k_proj.lora_{factor}.weight"
        assert torch.equal(getattr(wrapper, f"lora_{factor}").default.weight, stored[name])
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.mark.parametrize(
    "settings",
    [{}, {"modules_to_save": ["embed_tokens", "lm_head"]}, {"trainable_token_indices": [3, 258]}],
    ids=str,
)
def test_tokens_that_training_added_resize_the_base(
    settings: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(260, mean_resizing=False)
    wrapped = adapted(model, ATTENTION, **settings)
    wrapped.save_pretrained(tmp_path / "adapter")
    loaded = load_model(str(tmp_path / "adapter"))
    assert_same_weights(loaded.model, dict(wrapped.merge_and_unload().state_dict()))
    assert loaded.model.lm_head.weight.shape == (260, 32)


def test_a_tokenizer_in_the_adapters_folder_takes_precedence(folder: Path, adapter: Path) -> None:
    for file in folder.glob("tokenizer*"):
        shutil.copy(file, adapter)
    assert load_model(str(adapter)).tokenizer.name_or_path == str(adapter)


def test_the_base_may_be_given_and_may_lie_beside_the_adapter(
    folder: Path, adapter: Path, tmp_path: Path
) -> None:
    expected = merged(folder, adapter)
    settings_of(adapter, base_model_name_or_path="/nowhere/model")
    assert_same_weights(load_model(str(adapter), base=str(folder)).model, expected)
    settings_of(adapter, base_model_name_or_path="../../model")
    assert_same_weights(load_model(str(adapter)).model, expected)


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (
            "/nowhere/model",
            r"The base model '/nowhere/model' of the adapter .*checkpoint-100 cannot",
        ),
        ("not an id", r"\(There is no model at 'not an id'\): name another model of the study"),
        (
            None,
            r"checkpoint-100 does not name a base model: name it as `base`",
        ),
        ("", "does not name a base model"),
    ],
)
def test_a_base_that_is_missing_is_named(named: Any, reason: str, adapter: Path) -> None:
    settings_of(adapter, base_model_name_or_path=named)
    with pytest.raises(ModelError, match=reason):
        load_model(str(adapter))


def test_an_adapter_of_an_adapter_is_refused(folder: Path, adapter: Path, tmp_path: Path) -> None:
    second = save_adapter(folder, tmp_path / "second")
    settings_of(second, base_model_name_or_path=str(adapter))
    with pytest.raises(ModelError, match=r"the base of the adapter .*second, is an adapter too"):
        load_model(str(second))


@pytest.mark.parametrize("changes", [{"hidden_size": 64}, {"num_hidden_layers": 2}], ids=str)
def test_an_adapter_of_a_base_of_another_shape_is_refused(
    changes: dict[str, int], folder: Path, adapter: Path, tmp_path: Path
) -> None:
    other = other_base(folder, tmp_path / "other", **changes)
    with pytest.raises(
        ModelError, match=r"cannot be loaded onto its base model other \(.*\): name"
    ):
        load_model(str(adapter), base=str(other))


def test_an_adapter_without_some_of_its_weights_is_refused(
    folder: Path, adapter: Path, tmp_path: Path
) -> None:
    deeper = other_base(folder, tmp_path / "deeper", num_hidden_layers=4)
    with pytest.raises(ModelError, match=r"its file has no .*layers\.3\.self_attn"):
        load_model(str(adapter), base=str(deeper))
    weights = load_file(adapter / WEIGHTS)
    del weights["base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight"]
    save_file(weights, adapter / WEIGHTS)
    with pytest.raises(ModelError, match=r"its file has no .*layers\.1\.self_attn\.o_proj"):
        load_model(str(adapter))


def other_base(folder: Path, place: Path, **changes: int) -> Path:
    """A model of other sizes with the same tokenizer."""
    shutil.copytree(folder, place)
    configure(place, **changes)
    config = AutoModelForCausalLM.from_pretrained(folder).config
    for name, value in changes.items():
        setattr(config, name, value)
    config.layer_types = None
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    return place


def test_pickled_adapters_are_refused(adapter: Path) -> None:
    torch.save(load_file(adapter / WEIGHTS), adapter / "adapter_model.bin")
    (adapter / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"has no adapter_model.safetensors.*pickled weights"):
        load_model(str(adapter))


def test_damaged_weights_are_named(adapter: Path) -> None:
    (adapter / WEIGHTS).write_bytes(b"PK\3\4 not a safetensors file")
    with pytest.raises(ModelError, match=r"weights of the adapter .*checkpoint-100 cannot be read"):
        load_model(str(adapter))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000], ids=repr)
def test_damaged_settings_are_named(content: bytes, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"adapter_config.json of .*checkpoint-100"):
        load_model(str(adapter))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "is an adapter of the kind PROMPT_TUNING, which is not"),
        ({"peft_type": None}, "is an adapter of the kind None"),
        ({"r": 10**9}, r"ask for a rank of 1000000000, and no matrix in its adapter_model"),
        ({"rank_pattern": {"q_proj": 10**9}}, "ask for a rank of 1000000000"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "has the setting 'megatron_config'"),
        ({"alora_invocation_tokens": [1, 2]}, "has the setting 'alora_invocation_tokens'"),
        ({"target_modules": ["nothing"]}, "cannot be loaded onto its base model"),
        ({"lora_alpha": "much"}, "cannot be loaded onto its base model"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_settings_that_cannot_be_merged_are_refused(
    changes: dict[str, Any], reason: str, adapter: Path
) -> None:
    settings_of(adapter, **changes)
    with pytest.raises(ModelError, match=reason):
        load_model(str(adapter))


def test_the_factors_of_a_full_model_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"is not an adapter .*remove `adapter: factors`"):
        load_model(str(folder), adapter="factors")


@pytest.mark.parametrize(
    "settings",
    [
        LoHaConfig(r=4, target_modules=["q_proj"]),
        LoKrConfig(r=4, target_modules=["q_proj"]),
        IA3Config(target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]),
        OFTConfig(r=4, oft_block_size=0, target_modules=["q_proj"]),
        AdaLoraConfig(init_r=4, target_r=2, total_step=9, target_modules=["q_proj"]),
    ],
    ids=lambda settings: settings.peft_type.value,
)
def test_another_kind_of_adapter_is_merged_and_has_no_factors(
    settings: PeftConfig, folder: Path, tmp_path: Path
) -> None:
    wrapped = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), settings)
    randomize(wrapped, 0)
    wrapped.save_pretrained(tmp_path / "adapter")
    loaded = load_model(str(tmp_path / "adapter"))
    assert_same_weights(loaded.model, merged(folder, tmp_path / "adapter"))
    plain = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    name = "model.layers.1.self_attn.q_proj.weight"
    assert not torch.allclose(loaded.model.state_dict()[name], plain[name])
    kind = settings.peft_type.value
    with pytest.raises(ModelError, match=f"kind {kind}, and only LORA has the factors A and B"):
        load_model(str(tmp_path / "adapter"), adapter="factors")


def test_an_adapter_is_not_loaded_onto_an_offloaded_base(adapter: Path) -> None:
    parts = ("embed_tokens", "layers.0", "layers.1", "norm", "rotary_emb")
    places: dict[str, int | str] = {f"model.{part}": "cpu" for part in parts}
    placement = Placement(places | {"model.layers.2": "disk", "lm_head": "cpu"})
    with pytest.raises(ModelError, match="does not fit on its devices, and peft loads no adapter"):
        load_model(str(adapter), placement=placement)


def test_several_adapters_in_one_folder_are_folders_of_their_own(
    folder: Path, tmp_path: Path
) -> None:
    both = adapted(AutoModelForCausalLM.from_pretrained(folder), ["q_proj"])
    both.add_adapter("second", both.peft_config["default"])
    randomize(both, 7)
    both.save_pretrained(tmp_path / "both")
    first, second = tmp_path / "both", tmp_path / "both" / "second"
    assert_same_weights(load_model(str(first)).model, merged(folder, first))
    assert_same_weights(load_model(str(second)).model, merged(folder, second))
    for file in first.glob("*.*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"adapters in its subfolders only \(second\): give"):
        load_model(str(first))


def test_without_peft_the_extra_is_named(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r'needs peft: pip install "gradpipe\[adapters\]"'):
        load_model(str(adapter))


def test_a_fingerprint_is_the_bases_the_adapters_and_what_is_measured(
    folder: Path, adapter: Path, tmp_path: Path
) -> None:
    def mark(place: Path, **settings: Any) -> str:
        return fingerprint(resolve_model(str(place), **settings))

    before = mark(adapter)
    assert before == load_model(str(adapter)).fingerprint
    assert before not in {mark(adapter, adapter="factors"), mark(folder)}
    copy = shutil.copytree(adapter, tmp_path / "copy")
    settings = json.loads((copy / "adapter_config.json").read_text())
    targets = sorted(settings["target_modules"], reverse=True)
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    settings_of(copy, target_modules=targets, base_model_name_or_path=str(elsewhere))
    (copy / "trainer_state.json").write_text('{"global_step": 100}')
    assert mark(copy) == before
    settings_of(copy, lora_alpha=7)
    assert mark(copy) != before
    configure(folder, rms_norm_eps=1e-3)
    assert mark(adapter) != before


def test_an_adapters_base_is_pinned_with_it(adapter: Path, folder: Path, hub: Any) -> None:
    settings_of(adapter, base_model_name_or_path="org/base", revision="step100")
    hub("a" * 40)
    # With a tokenizer given, no file of the hub is looked for.
    source = find_model(str(adapter), tokenizer=str(folder))
    assert source.base is not None
    assert (source.base.id, source.base.revision) == ("org/base", "a" * 40)
    hub(OSError("no network"))
    with pytest.raises(ModelError, match="The base model 'org/base' of the adapter") as raised:
        find_model(str(adapter), tokenizer=str(folder))
    assert raised.value.transient


def test_an_adapter_is_merged_into_the_dequantized_weights_of_its_base(
    folder: Path, adapter: Path
) -> None:
    quantize_folder(folder, FP8, encode_fp8)
    model = load_model(str(folder)).model
    expected = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    assert_same_weights(load_model(str(adapter)).model, dict(expected.state_dict()))
    [note, stored] = weights_notes(find_model(str(adapter), adapter="factors"))
    assert (
        note
        == f"An adapter (LORA, rank 4) of {folder}; gradients are those at its factors A and B."
    )
    assert "stored in fp8" in stored


@pytest.fixture
def on_hub(adapter: Path, hub: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The adapter as the hub's own cache holds org/adapter, with nobody to ask."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached = hub(COMMIT) / "models--org--adapter"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    return shutil.copytree(adapter, cached / "snapshots" / COMMIT)


def test_an_adapter_of_the_hub_is_loaded_onto_its_base(on_hub: Path, folder: Path) -> None:
    loaded = load_model("org/adapter")
    assert_same_weights(loaded.model, merged(folder, on_hub))
    assert loaded.tokenizer.name_or_path == str(folder)
    assert loaded.fingerprint == fingerprint(find_model("org/adapter"))
    assert loaded.fingerprint != fingerprint(find_model("org/adapter", adapter="factors"))


def test_the_hub_is_asked_whether_a_commit_is_an_adapter(
    folder: Path, adapter: Path, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is cached yet: the list of its files tells, and its settings are downloaded."""
    hub(COMMIT)
    files = [SimpleNamespace(rfilename="adapter_config.json")]
    monkeypatch.setattr(
        HfApi, "model_info", lambda *_, **__: SimpleNamespace(sha=COMMIT, siblings=files)
    )
    downloaded = "gradpipe.models.hub.hf_hub_download"
    monkeypatch.setattr(downloaded, lambda _, file, **__: str(adapter / file))
    source = find_model("org/adapter")
    assert source.base is not None
    assert source.base.id == str(folder)
    files.clear()
    assert find_model("org/adapter").base is None
    with pytest.raises(ModelError, match="org/adapter is not an adapter"):
        find_model("org/adapter", adapter="factors")
