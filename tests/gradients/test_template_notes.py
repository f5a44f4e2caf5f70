"""What is done beyond a chat template is said of a model without loading its tokenizer."""

from pathlib import Path

import pytest

from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.template_notes import notes_of_model
from gradpipe.models.source import ModelSource
from tests.gradients.chat_template_samples import CHAT_TEMPLATES, tokenizer_for


@pytest.mark.parametrize("preset", ["paper", "standard", "training"])
@pytest.mark.parametrize("name", list(CHAT_TEMPLATES))
def test_the_notes_of_a_model_are_those_of_its_encoder(
    name: str, preset: str, tmp_path: Path
) -> None:
    tokenizer, protocol = tokenizer_for(CHAT_TEMPLATES[name]), make_protocol(preset)
    tokenizer.save_pretrained(tmp_path)
    source = ModelSource("folder", str(tmp_path), None)
    notes = notes_of_model(source, "mine", protocol)
    assert notes == Encoder(tokenizer, protocol, "mine").notes
    assert len(notes) == (name == "r1-distill")
    assert notes_of_model(source, "mine", make_protocol(preset, chat=False)) == []


def test_a_template_laid_over_a_model_has_the_notes(tmp_path: Path) -> None:
    tokenizer_for(CHAT_TEMPLATES["chatml"]).save_pretrained(tmp_path)
    laid_over = make_protocol(chat_template=CHAT_TEMPLATES["r1-distill"])
    [note] = notes_of_model(ModelSource("folder", str(tmp_path), None), "mine", laid_over)
    assert "thinking: auto" in note
