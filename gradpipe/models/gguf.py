"""Convert .gguf files once into the user's cache folder; this takes some seconds per file."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from gradpipe.errors import ModelError
from gradpipe.models.files import refuse_larger
from gradpipe.models.fingerprint import file_digest
from gradpipe.models.gguf_merge import merge_parts
from gradpipe.models.gguf_parts import gguf_parts
from gradpipe.models.gguf_reading import fast_gguf_reading
from gradpipe.models.refusals import refuse_config, refuse_missing_weights
from gradpipe.models.silence import quiet_transformers
from gradpipe.models.source import ModelSource
from gradpipe.models.tokenizer_files import has_tokenizer
from gradpipe.system.atomic_files import aside_path, sweep_leftovers
from gradpipe.system.hashing import content_hash
from gradpipe.system.user_folders import cache_folder
from gradpipe.untrusted.gguf_header import check_header

#: Part of the folder's name; after a change, files are converted again into new folders.
CONVERSION = "1"


def converted_folder(path: Path) -> Path:
    """Return the folder with a file's weights as float32 safetensors, and its tokenizer.

    ``path`` is a whole file, or one of its parts. The first call converts it. A killed conversion
    leaves an unfinished folder, which is never used and which later calls delete. Raises
    ModelError if the file cannot be read or the cache folder cannot be written.
    """
    models = cache_folder() / "models"
    sweep_leftovers(models)
    parts = gguf_parts(path)
    stem = re.sub(r"[^\w.-]", "_", parts[0].stem, flags=re.ASCII)[:80]
    folder = models / f"{stem}-{_digest(parts)}-{CONVERSION}"
    if folder.is_dir():
        return folder
    logging.getLogger(__name__).info("converting %s once", path.name)
    tensors, numbers = check_header(*parts)
    aside = aside_path(folder)
    try:
        _convert(parts, aside, tensors, numbers)
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


def _digest(parts: Sequence[Path]) -> str:
    digests = [file_digest(part) for part in parts]
    return digests[0][:16] if len(digests) == 1 else content_hash(digests, length=16)


@contextlib.contextmanager
def _in_one_file(parts: Sequence[Path], folder: Path) -> Iterator[Path]:
    """A file with all parts of a model; several are merged beside ``folder``, and deleted after."""
    if len(parts) == 1:
        yield parts[0]
        return
    merged = aside_path(folder.with_name("merged.gguf"))
    try:
        try:
            merge_parts(parts, merged)
        except OSError:
            raise
        except Exception as error:
            raise _unreadable(parts[0], error) from error
        yield merged
    finally:
        merged.unlink(missing_ok=True)


def _unreadable(path: Path, error: Exception) -> ModelError:
    """The error for a damaged file; the exceptions that one causes share no base type."""
    text = str(error).strip()
    reason = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    return ModelError(
        f"{path} cannot be read as a GGUF model ({reason}): check that the file is complete and "
        "that transformers supports its architecture."
    )


def _convert(parts: Sequence[Path], folder: Path, tensors: int, numbers: int) -> None:
    # The GGUF reader has a progress bar that no setting turns off.
    with (
        quiet_transformers(),
        contextlib.redirect_stderr(io.StringIO()),
        fast_gguf_reading(),
        _in_one_file(parts, folder) as file,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            tokenizer, model = _read(file, parts[0].name, folder, tensors, numbers)
        except ModelError:
            raise
        except Exception as error:
            raise _unreadable(parts[0], error) from error
        # The weights are not quantized anymore; with this setting, the folder could not be loaded.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        setattr(model, "hf_quantizer", None)  # noqa: B010
        if tokenizer is not None:
            _save(tokenizer, folder)
        _save(model, folder)
        for weights in folder.glob("*.safetensors"):
            # Safetensors ignores the umask and lets only the owner read its files.
            shutil.copymode(folder / "config.json", weights)


def _read(path: Path, name: str, empty: Path, tensors: int, numbers: int) -> tuple[Any, Any]:
    """Read the tokenizer and model from the file only.

    ``name`` is the model's in errors. Its folder is empty, since other files in it would be read
    too. The file's path is absolute, since a file of the same name in the current folder would take
    precedence.
    """
    # Newer releases of transformers keep weights quantized if they have a kernel for them.
    has_kernels = hasattr(transformers, "GgufConfig")
    plain = {"quantization_config": transformers.GgufConfig(dequantize=True)} if has_kernels else {}
    file = {"gguf_file": str(path.absolute())}
    config = AutoConfig.from_pretrained(empty, trust_remote_code=False, **file)
    refuse_config(name, config, plain=True)
    refuse_larger(name, config, numbers, tensors)
    tokenizer = None
    if has_tokenizer(ModelSource("gguf", str(path))):
        tokenizer = AutoTokenizer.from_pretrained(empty, trust_remote_code=False, **file)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        empty,
        config=config,
        dtype=torch.float32,
        trust_remote_code=False,
        output_loading_info=True,
        **file,
        **plain,
    )
    model, report = loaded
    refuse_missing_weights(name, report["missing_keys"])
    return tokenizer, model


def _save(part: Any, folder: Path) -> None:
    """Save a model or tokenizer; raise OSError for any error in writing."""
    try:
        part.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from error
