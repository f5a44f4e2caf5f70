"""A protocol is a preset with changes; what cannot be meant is answered with cause and cure."""

from typing import Any

import pytest

from gradpipe.errors import StudyError
from gradpipe.gradients.protocol import PAPER, STANDARD, make_protocol
from gradpipe.system.hashing import content_hash


def test_paper_is_the_reference_and_standard_mends_its_quirks() -> None:
    assert make_protocol("paper") == PAPER
    assert make_protocol() == make_protocol("standard") == STANDARD
    differences = {
        name: (old, STANDARD.key()[name])
        for name, old in PAPER.key().items()
        if old != STANDARD.key()[name]
    }
    assert differences == {
        "system_unless": ("by_name", "by_template"),
        "special_tokens": ("always", "once"),
        "boundary": ("prefix", "offsets"),
        "max_length": (1024, 2048),
        "overlong": ("truncate", "refuse"),
    }


def test_settings_can_be_changed() -> None:
    protocol = make_protocol("paper", chat=False, max_length=64, projections=["q", "o"])
    assert (protocol.chat, protocol.max_length, protocol.projections) == (False, 64, ("q", "o"))
    assert protocol.boundary == "prefix"


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"no protocol 'papper': did you mean 'paper'\?"):
        make_protocol("papper")
    with pytest.raises(StudyError, match="known are paper, standard"):
        make_protocol("xyz")


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"no setting 'maxlength': did you mean 'max_length'\?"):
        make_protocol("standard", maxlength=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_length", 1),
        ("max_length", "many"),
        ("max_length", 10**7),
        ("dtype", "int8"),
        ("boundary", "guess"),
        ("chat", "perhaps"),
        ("projections", []),
        ("projections", ["q", "z"]),
        ("projections", ["q", "k", "q"]),
        ("layer_names", {"q": ""}),
        ("layer_names", {"q": 5}),
        ("layer_names", "attn.wq"),
        ("thinking", "outside"),
        ("template_date", "tomorrow"),
    ],
)
def test_a_bad_value_is_named_with_its_setting(name: str, value: Any) -> None:
    with pytest.raises(StudyError, match=f"setting '{name}.*' cannot be "):
        make_protocol("standard", **{name: value})


def test_layer_names_are_of_the_projections_there_are() -> None:
    named = make_protocol(projections=["gate", "q"], layer_names={"q": "attn.wq"})
    assert named.layer_names.paths == {"q": "attn.wq"}
    with pytest.raises(StudyError, match=r"no setting 'layer_names\.gat': did you mean 'gate'\?"):
        make_protocol(layer_names={"gat": "mlp.w1"})


def test_layer_names_are_in_the_key_where_there_are_any() -> None:
    assert "layer_names" not in STANDARD.key()
    named = make_protocol(layer_names={"q": "attn.wq"})
    assert named.key() == {**STANDARD.key(), "layer_names": {"q": "attn.wq"}}
    assert make_protocol("standard", **named.key()) == named
    assert len({named, STANDARD, PAPER}) == 3


def test_keys_of_earlier_rows_stay_what_they_were() -> None:
    assert content_hash(STANDARD.key()) == "d7b25ac2b5eb193730a7"
    assert content_hash(PAPER.key()) == "df83935a1b73fb9a02d3"


def test_later_settings_with_their_defaults_leave_rows_and_reports_of_earlier_versions_valid() -> (
    None
):
    for protocol in (PAPER, STANDARD):
        assert {"thinking", "template_date", "loss_on"} <= protocol.later_defaults
        printed = protocol.model_dump(exclude=protocol.later_defaults)
        assert set(printed) == {*protocol.key(), "preset", "layer_names"}
    changed = make_protocol("training", chat_template="{{ messages }}", template_date="2031-05-04")
    kept = {"thinking", "chat_template_kwargs", "think_marks", "spans", "step_pattern"}
    kept |= {"control_tokens", "heads"}
    assert changed.later_defaults == kept
    assert set(changed.key()) == {*changed.model_dump()} - kept - {"preset", "layer_names"}


@pytest.mark.parametrize(
    "settings",
    [
        {"spans": "words"},
        {"step_pattern": "^Step"},
        {"spans": "think", "step_pattern": "^Step"},
        {"spans": "steps", "step_pattern": "("},
    ],
    ids=str,
)
def test_a_division_that_cannot_be_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(StudyError, match=list(settings)[-1]):
        make_protocol(**settings)


def test_the_key_ignores_what_the_preset_is_called() -> None:
    renamed = make_protocol("standard", **PAPER.key())
    assert renamed.preset != PAPER.preset
    assert renamed.key() == PAPER.key()


@pytest.mark.parametrize(
    "change", [{"chat": False}, {"system": None}, {"dtype": "bfloat16"}, {"max_length": 7}], ids=str
)
def test_the_key_follows_every_setting(change: dict[str, Any]) -> None:
    assert make_protocol("paper", **change).key() != PAPER.key()
