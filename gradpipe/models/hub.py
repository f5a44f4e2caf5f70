"""Find the commit that a revision of a hub model refers to, and its small files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from gradpipe.errors import ModelError
from gradpipe.models.adapters.config import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from gradpipe.models.source import ModelSource
from gradpipe.models.whole_weights import INDEX, WEIGHTS, weight_names
from gradpipe.system.remembered import remembered

#: The file that the tokenizers of all models have.
CONFIG = "tokenizer_config.json"
_SHA256 = re.compile("[0-9a-f]{64}")
_COMMIT = re.compile("[0-9a-f]{40}")


def hub_commit(source: ModelSource) -> str:
    """Return the commit of a hub model's revision, from the local cache if the hub is unreachable.

    Raises ModelError if there is no such model or revision, or if it is unreachable and not cached.
    """
    revision = source.revision or "main"
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        if not constants.HF_HUB_OFFLINE:
            commit = HfApi().model_info(source.id, revision=revision, timeout=10).sha
            if commit:
                return commit
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            f"The hub has no model {source.id!r} that you may read: check the id, or log in with "
            "`hf auth login` if the model is gated."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"{source.id} has no revision {revision!r}: check its branches and tags."
        ) from error
    except Exception:
        pass
    cached = cached_commit(source.id, revision)
    if cached is None:
        raise ModelError(
            f"Model {source.id!r} is neither a local folder nor in the cache, and the hub cannot "
            "be reached: check the spelling, connect to the hub, or give a local folder.",
            transient=True,
        )
    return cached


def hub_adapter_config(source: ModelSource) -> Path | None:
    """Return the local path of a pinned hub model's adapter_config.json; None for a full model.

    Also None if the hub cannot be reached and nothing of the model is cached: loading then fails.
    Raises ModelError if the hub has the file, but it cannot be downloaded.
    """
    cached = try_to_load_from_cache(source.id, ADAPTER_CONFIG, revision=source.revision)
    if cached is not None:
        return Path(cached) if isinstance(cached, str) else None
    whole = try_to_load_from_cache(source.id, "config.json", revision=source.revision)
    if isinstance(whole, str) or constants.HF_HUB_OFFLINE:
        return None
    try:
        listed = HfApi().model_info(source.id, revision=source.revision, timeout=10).siblings
    except Exception:
        return None
    if not any(file.rfilename == ADAPTER_CONFIG for file in listed or ()):
        return None
    return hub_file(source, ADAPTER_CONFIG)


def cached_commit(model_id: str, revision: str) -> str | None:
    """Return the commit of a revision at its last download, or None."""
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=model_id, repo_type="model")
    reference = folder / "refs" / revision
    commit = reference.read_text("utf-8", "replace").strip() if reference.is_file() else ""
    return commit if _COMMIT.fullmatch(commit) else None


def hub_file(source: ModelSource, file: str) -> Path | None:
    """Return the local path of a small file of a pinned hub model; None if it has no such file.

    Raises ModelError if the file is not cached and cannot be downloaded.
    """
    cached = try_to_load_from_cache(source.id, file, revision=source.revision)
    if cached is not None:
        # Otherwise an object that says that the hub has no such file.
        return Path(cached) if isinstance(cached, str) else None
    try:
        return Path(hf_hub_download(source.id, file, revision=source.revision))
    except Exception as error:
        missing = isinstance(error, EntryNotFoundError)
        if missing and not isinstance(error, LocalEntryNotFoundError):
            return None
        loaded = (CONFIG, ADAPTER_WEIGHTS)
        if any(
            isinstance(try_to_load_from_cache(source.id, name, revision=source.revision), str)
            for name in loaded
        ):
            # The tokenizer, or the adapter, was loaded from here without this file.
            return None
        raise ModelError(
            f"{file} of {source.id!r} is not in the cache and cannot be downloaded: connect to the "
            "hub, or give a local folder.",
            transient=True,
        ) from error


def hub_weight_digests(source: ModelSource) -> list[str]:
    """Return the SHA-256 of each weight file of a pinned hub model, without downloading it.

    They are remembered by commit. Empty if the model is not cached and the hub cannot be asked, or
    does not know them.
    """
    identity = [source.id, source.revision]
    try:
        return list(remembered("weights", identity, "sha256", lambda: _find_digests(source)))
    # Whether two models are equal is worth no failure.
    except Exception:
        return []


def _find_digests(source: ModelSource) -> dict[str, Any]:
    """Find the checksums in the cache or ask the hub; raises ValueError or an error of the hub."""
    digests = _cached_digests(source) or {}
    if not digests and not constants.HF_HUB_OFFLINE:
        listed = HfApi().model_info(
            source.id, revision=source.revision, files_metadata=True, timeout=10
        )
        files = {file.rfilename: file.lfs for file in listed.siblings or ()}
        digests = {name: lfs.sha256 if lfs else "" for name, lfs in files.items()}
    weights = weight_names(digests)
    if not weights or not all(digests[name] for name in weights):
        raise ValueError(f"the hub knows no checksums of the weights of {source.id}")
    sha256 = sorted(digests[name] for name in weights)
    return {"model": source.id, "commit": source.revision, "sha256": sha256}


def _cached_digests(source: ModelSource) -> dict[str, str] | None:
    """Return the checksums of a downloaded model, after which the cache names its large files."""
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=source.id, repo_type="model")
    snapshot = folder / "snapshots" / str(source.revision)
    names = weight_names(file.name for file in snapshot.glob("*.safetensors"))
    index = snapshot / INDEX
    if names != [WEIGHTS]:
        if not index.is_file():
            return None
        listed = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        if listed != set(names):
            return None
    targets = {name: (snapshot / name).resolve().name for name in names}
    return targets if all(_SHA256.fullmatch(name) for name in targets.values()) else None
