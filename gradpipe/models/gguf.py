"""Convert .gguf files once into the user's cache folder; this takes half a minute per file."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from gradpipe.errors import ModelError
from gradpipe.models.files import refuse_larger
from gradpipe.models.fingerprint import file_digest
from gradpipe.models.refusals import refuse_config, refuse_missing_weights
from gradpipe.models.silence import quiet_transformers
from gradpipe.system.atomic_files import aside_path, sweep_leftovers
from gradpipe.system.user_folders import cache_folder
from gradpipe.untrusted.gguf_header import check_header

#: Part of the folder's name; after a change, files are converted again into new folders.
CONVERSION = "1"


def converted_folder(path: Path) -> Path:
    """Return the folder with a file's weights as float32 safetensors, and its tokenizer.

    The first call converts the file. A killed conversion leaves an unfinished folder, which is
    never used and which later calls delete. Raises ModelError if the file cannot be read or the
    cache folder cannot be written.
    """
    models = cache_folder() / "models"
    sweep_leftovers(models)
    stem = re.sub(r"[^\w.-]", "_", path.stem, flags=re.ASCII)[:80]
    folder = models / f"{stem}-{file_digest(path)[:16]}-{CONVERSION}"
    if folder.is_dir():
        return folder
    logging.getLogger(__name__).info("converting %s once, about half a minute", path.name)
    tensors, numbers = check_header(path)
    aside = aside_path(folder)
    try:
        _convert(path, aside, tensors, numbers)
        aside.rename(folder)
    except OSError as error:
        # Another process may have finished the same folder first.
        if not folder.is_dir():
            raise ModelError(
                f"{path.name} cannot be converted into {models} ({error.strerror or error}): free "
                "some space there, or set XDG_CACHE_HOME to another folder."
            ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _convert(path: Path, folder: Path, tensors: int, numbers: int) -> None:
    # The GGUF reader has a progress bar that no setting turns off.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            tokenizer, model = _read(path, folder, tensors, numbers)
        except ModelError:
            raise
        # The exceptions that damaged files cause in the reader share no base type.
        except Exception as error:
            text = str(error).strip()
            reason = text.splitlines()[0] if text else type(error).__name__
            raise ModelError(
                f"{path} cannot be read as a GGUF model ({reason}): check that the file is "
                "complete and that transformers supports its architecture."
            ) from error
        # The weights are not quantized anymore; with this setting, the folder could not be loaded.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        setattr(model, "hf_quantizer", None)  # noqa: B010
        _save(tokenizer, folder)
        _save(model, folder)
        for weights in folder.glob("*.safetensors"):
            # Safetensors ignores the umask and lets only the owner read its files.
            shutil.copymode(folder / "config.json", weights)


def _read(path: Path, empty: Path, tensors: int, numbers: int) -> tuple[Any, Any]:
    """Read the tokenizer and model from the file only.

    The model's folder is empty, since other files in it would be read too. The file's path is
    absolute, since a file of the same name in the current folder would take precedence.
    """
    # Newer releases of transformers keep weights quantized if they have a kernel for them.
    has_kernels = hasattr(transformers, "GgufConfig")
    plain = {"quantization_config": transformers.GgufConfig(dequantize=True)} if has_kernels else {}
    file = {"gguf_file": str(path.absolute())}
    config = AutoConfig.from_pretrained(empty, trust_remote_code=False, **file)
    refuse_config(path.name, config, plain=True)
    refuse_larger(path.name, config, numbers, tensors)
    tokenizer = AutoTokenizer.from_pretrained(empty, trust_remote_code=False, **file)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        empty,
        dtype=torch.float32,
        trust_remote_code=False,
        output_loading_info=True,
        **file,
        **plain,
    )
    model, report = loaded
    refuse_missing_weights(path.name, report["missing_keys"])
    return tokenizer, model


def _save(part: Any, folder: Path) -> None:
    """Save a model or tokenizer; raise OSError for any error in writing."""
    try:
        part.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from error
