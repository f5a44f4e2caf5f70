"""A .gguf file, converted once into the user's cache folder: half a minute, then a second."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from pathlib import Path

from gradpipe.cache import cache_folder
from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import file_digest
from gradpipe.models.quiet import quiet_transformers

#: Part of the folder's name: conversions of an older kind are left alone and made anew.
CONVERSION = "1"


def converted_folder(path: Path) -> Path:
    """The folder with this file's weights as float32 safetensors, and its tokenizer.

    Converts at the first call; a conversion that is killed leaves nothing that a later call would
    take for whole. Raises ModelError for a file that cannot be read.
    """
    folder = cache_folder() / "models" / f"{path.stem}-{file_digest(path)[:16]}-{CONVERSION}"
    if not folder.is_dir():
        logging.getLogger(__name__).info("converting %s once, about half a minute", path.name)
        aside = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        try:
            _convert(path, aside)
            aside.rename(folder)
        except OSError:
            # Another process may have finished first; its folder is the same one.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def _convert(path: Path, folder: Path) -> None:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Releases that can compute on a file's blocks leave them packed where they have a kernel.
    known = hasattr(transformers, "GgufConfig")
    plain = {"quantization_config": transformers.GgufConfig(dequantize=True)} if known else {}
    # The reader of GGUF files draws a bar of its own that no setting turns off.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        try:
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, **plain
            )
        # What a damaged file makes the reader raise has no common type.
        except Exception as error:
            reason = (
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            raise ModelError(
                f"{path} cannot be read as a GGUF model ({reason}): check that the file is whole "
                "and that transformers knows its architecture."
            ) from error
        # The weights are plain numbers now: a folder that still says "quantised" would not load.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        setattr(model, "hf_quantizer", None)  # noqa: B010
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
