"""Check that the weight files of a local model are there and whole, from their headers alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from gradpipe.errors import ModelError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
#: First bytes of pickles: in archives, as torch writes them, and plain.
_PICKLES = (b"PK\3\4", b"\x80")
_CURE = "download the model again, or wait until it is saved completely"


def require_whole_weights(name: str, folder: Path) -> None:
    """Raise ModelError unless every weight file of a folder, and every tensor of its index, exists.

    Each file must be as long as its header says. Other kinds of weights are left to ``files``.
    """
    if (folder / WEIGHTS).is_file():
        tensor_names(name, folder / WEIGHTS)
        return
    if not (folder / INDEX).is_file():
        _refuse_parts_without_index(name, folder)
        return
    files = _files_of_tensors(name, folder / INDEX)
    for file, tensors in files.items():
        part = folder / file
        if not part.is_file():
            raise ModelError(f"{file}, a part of {name!r}, is missing: {_CURE}.")
        if missing := tensors - tensor_names(name, part):
            raise ModelError(
                f"{file} of {name!r} does not have {len(missing)} of the tensors of its index "
                f"({min(missing)} ...), as if it came from another checkpoint: {_CURE}."
            )


def weight_names(files: Iterable[str]) -> list[str]:
    """Return which files of a model are its weights: one whole file, or else all parts, sorted."""
    names = sorted(name for name in files if "/" not in name and name.endswith(".safetensors"))
    return [WEIGHTS] if WEIGHTS in names else names


def is_plain_name(file: object) -> bool:
    """Return whether a name is a plain file name without a path."""
    return isinstance(file, str) and Path(file).name == file and "\0" not in file


def tensor_names(name: str, file: Path) -> set[str]:
    """Return the names of the tensors in a file; raise ModelError if it is cut short or damaged."""
    try:
        with safe_open(file, framework="numpy") as tensors:
            return set(tensors.keys())
    except OSError as error:
        raise ModelError(
            f"{file} cannot be read ({error.strerror or error}): check the file's permissions."
        ) from error
    except SafetensorError as error:
        raise damaged_weights(name, file, error) from error


def damaged_weights(name: str, file: Path, error: SafetensorError) -> ModelError:
    """Return the error for a file that the safetensors library cannot read."""
    with file.open("rb") as content:
        first = content.read(8)
        if first.startswith(_PICKLES):
            return ModelError(
                f"{file.name} of {name!r} is a pickle under another name, and reading one can run "
                "any code: convert it with save_pretrained(folder)."
            )
        header = content.read(min(int.from_bytes(first, "little"), 100_000_000))
    size, described = file.stat().st_size, described_size(first, header)
    if described is None or size >= described:
        reason = str(error)
    else:
        reason = f"it has {size} of {described} bytes"
    return ModelError(f"The model of {name!r} cannot be loaded ({file.name}: {reason}): {_CURE}.")


def described_size(first: bytes, header: bytes) -> int | None:
    """Return the size of a file as its first bytes and its header say, or None if unknown."""
    length = int.from_bytes(first, "little")
    if len(first) < 8:
        return 8
    if len(header) < length:
        # The library accepts no longer header.
        return 8 + length if length <= 100_000_000 else None
    try:
        tensors = [entry for key, entry in json.loads(header).items() if key != "__metadata__"]
        return 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def _files_of_tensors(name: str, index: Path) -> dict[str, set[str]]:
    """Return the tensors of each part that an index names; raises ModelError."""
    try:
        files: dict[str, set[str]] = {}
        for tensor, file in json.loads(index.read_text("utf-8"))["weight_map"].items():
            files.setdefault(file, set()).add(tensor)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"The index {index} of {name!r} cannot be read ({error}): {_CURE}."
        ) from error
    # ``files.weight_files`` says why gradpipe reads no others.
    plain = {file for file in files if is_plain_name(file) and file.endswith(".safetensors")}
    return {file: tensors for file, tensors in files.items() if file in plain}


def _refuse_parts_without_index(name: str, folder: Path) -> None:
    parts = sorted(file.name for file in folder.glob("model-?????-of-?????.safetensors"))
    if parts:
        raise ModelError(
            f"{name!r} has parts of weights ({parts[0]} ...), and their index {INDEX} is missing: "
            f"{_CURE}."
        )
