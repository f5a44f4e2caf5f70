"""Check the weight files of a model before loading: plain safetensors, and complete.

An index may name any file as a part: one in another folder, or a pickle, which runs code when it
is read. A configuration may describe a model that does not fit in any memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.quantization import quantization_settings
from gradpipe.models.source import ModelSource, pickled_error
from gradpipe.models.whole_weights import (
    INDEX,
    WEIGHTS,
    damaged_weights,
    is_plain_name,
    require_whole_weights,
)

#: Numbers that a model may create in addition to its weights, such as masks.
_SLACK = 2**28
#: Weights that a byte of quantized weights holds, at most.
_WEIGHTS_PER_BYTE = 4


def refuse_files(name: str, source: ModelSource, config: Any) -> None:
    """Raise ModelError for weights that are not safetensors, in other folders, or far too few.

    Downloads a hub model's weights, as loading it would.
    """
    if source.kind == "folder":
        require_whole_weights(name, Path(source.id))
    numbers = tensors = 0
    packed = quantization_settings(config) is not None
    for file in weight_files(name, source, getattr(config, "transformers_weights", None)):
        shapes = list(_shapes(name, file))
        numbers += sum(prod(shape) for shape in shapes)
        # Integers hold several weights each, of two bits or more.
        numbers += _WEIGHTS_PER_BYTE * file.stat().st_size if packed else 0
        tensors += len(shapes)
    refuse_larger(name, config, numbers, tensors)


def weight_files(name: str, source: ModelSource, configured: str | None = None) -> list[Path]:
    """Return a model's local weight files; ``configured`` is the file named in its configuration.

    Raises ModelError if one is not a plain safetensors file in the same folder.
    """
    for first in (configured,) if configured else (WEIGHTS, INDEX):
        path = _file(source, first) if is_plain_name(first) else None
        if path is not None and first.endswith(".json"):
            return [_part(name, source, part) for part in _parts(name, path)]
        if path is not None:
            return [path]
    raise pickled_error(name)


def refuse_larger(name: str, config: Any, numbers: int, tensors: int) -> None:
    """Raise ModelError for a configuration with far more weights than the files' ``numbers``.

    Otherwise, transformers would fill the rest with noise and might run out of memory. Smaller
    numbers of missing weights are reported after loading.
    """
    for part in (config, *(getattr(config, key, None) for key in config.sub_configs)):
        layers = getattr(part, "num_hidden_layers", 0)
        if isinstance(layers, int) and layers > tensors:
            raise ModelError(
                f"The configuration of {name!r} asks for {layers} layers, and its files hold "
                f"{tensors} tensors: download it again."
            )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    tensors_of_model = (*model.parameters(), *model.buffers())
    wanted = sum(tensor.numel() for tensor in tensors_of_model)
    if wanted > 2 * numbers + _SLACK:
        raise ModelError(
            f"The configuration of {name!r} asks for {wanted} numbers, and its files hold "
            f"{numbers}: download it again."
        )


def _part(name: str, source: ModelSource, part: Any) -> Path:
    if not is_plain_name(part) or not part.endswith(".safetensors"):
        raise ModelError(
            f"The index of {name!r} names {part!r} as a part, and gradpipe only reads "
            "*.safetensors files in the same folder: download the model again, or convert its "
            "weights."
        )
    path = _file(source, part)
    if path is None:
        raise ModelError(f"{part}, a part of {name!r}, is missing: download the model again.")
    return path


def _parts(name: str, index: Path) -> list[Any]:
    """Return the distinct part files that an index names."""
    try:
        return list(dict.fromkeys(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"The index {index} of {name!r} cannot be read ({error}): download it again."
        ) from error


def _file(source: ModelSource, file: str) -> Path | None:
    """Return the local path of a model file, or None if the model has no file of that name."""
    if source.kind == "folder":
        place = Path(source.id) / file
        return place if place.is_file() else None
    try:
        return Path(hf_hub_download(source.id, file, revision=source.revision))
    except EntryNotFoundError:
        return None


def _shapes(name: str, file: Path) -> Iterator[tuple[int, ...]]:
    """Return the shapes of the tensors in a file, read from its header."""
    try:
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118
                yield tuple(tensors.get_slice(key).get_shape())
    except SafetensorError as error:
        raise damaged_weights(name, file, error) from error
