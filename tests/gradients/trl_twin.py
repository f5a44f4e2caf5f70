"""TRL's own preparation of fine-tuning data: token ids and labels to compare with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import get_training_chat_template, has_generation_markers


def trl_rows(
    tokenizer: Any,
    rows: list[dict[str, Any]],
    folder: str,
    *,
    assistant_only: bool = False,
    completion_only: bool = False,
) -> list[tuple[list[int], list[bool]]]:
    """The token ids of some rows, and which of them carry loss, as ``SFTTrainer`` prepares them.

    With ``assistant_only``, TRL replaces the templates that it knows by marked ones, as its trainer
    does. ``folder`` is where its configuration would write.
    """
    config = SFTConfig(
        output_dir=folder,
        assistant_only_loss=assistant_only,
        completion_only_loss=completion_only,
        max_length=None,
        report_to="none",
        use_cpu=True,
    )
    unmarked = assistant_only and not has_generation_markers(tokenizer.chat_template)
    trainer = SimpleNamespace(
        _tokenizer=tokenizer,
        completion_only_loss=completion_only,
        chat_template=get_training_chat_template(tokenizer) if unmarked else None,
    )
    prepared = SFTTrainer._prepare_dataset(
        trainer, Dataset.from_list(rows), tokenizer, config, False, None, "train"
    )
    return [
        (row["input_ids"], [label != -100 for label in row["labels"]]) for row in prepared.to_list()
    ]
