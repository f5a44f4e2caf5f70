"""A real fine-tuning by TRL in a process of its own, small enough for two cores.

``python -m tests.training.fine_tuning full|lora ROWS.json OUT`` trains the demo model on the first
rows of a file of the paper's release, and saves a checkpoint every few steps into OUT.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

import gradpipe as gp
from tests.conftest import ROOT

#: The release's file of GSM8K with bare answers, relative to the folder of shared data.
GSM8K = Path("layer-gradient", "cot_500", "gsm8k_train_no_cot.json")


def start_fine_tuning(
    way: str, rows: Path, out: Path, *options: str, threads: int = 1
) -> "subprocess.Popen[str]":
    """Start the training; the caller waits for it with ``communicate`` or ends it with ``kill``."""
    command = [sys.executable, "-m", "tests.training.fine_tuning", way, str(rows), str(out)]
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def conversations(rows: Path, number: int) -> Dataset:
    """The first rows of a file of the release, as prompts and completions of a chat."""
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["instruction"]}],
                "completion": [{"role": "assistant", "content": str(row["output"])}],
            }
            for row in json.loads(rows.read_text("utf-8"))[:number]
        ]
    )


def fine_tuned(
    way: str, rows: Path, out: Path, *, number: int, steps: int, save: int, callbacks: list[Any]
) -> SFTTrainer:
    """Train all weights of the demo model (``full``) or a LoRA (``lora``)."""
    demo = gp.load_model("demo")
    demo.model.requires_grad_(True)
    args = SFTConfig(
        output_dir=str(out),
        max_steps=steps,
        save_steps=save,
        per_device_train_batch_size=1,
        learning_rate=2e-5 if way == "full" else 1e-3,
        max_length=192,
        logging_steps=save,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_only_model=True,
        disable_tqdm=True,
    )
    adapter = LoraConfig(r=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    trainer = SFTTrainer(
        demo.model,
        args,
        train_dataset=conversations(rows, number),
        processing_class=demo.tokenizer,
        callbacks=callbacks,
        peft_config=adapter if way == "lora" else None,
    )
    trainer.train()
    return trainer


def main() -> None:
    """Train as the command line says; with ``--workspace``, a probe writes its steps there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["full", "lora"])
    parser.add_argument("rows", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--number", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--save", type=int, default=10)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--study", type=Path)
    given = parser.parse_args()
    callbacks: list[Any] = []
    if given.workspace is not None:
        settings = {"workspace": given.workspace, "study": given.study, "series": given.way}
        callbacks.append(gp.GradientProbe(every=given.save, **settings))
    fine_tuned(
        given.way,
        given.rows,
        given.out,
        number=given.number,
        steps=given.steps,
        save=given.save,
        callbacks=callbacks,
    )


if __name__ == "__main__":
    main()
