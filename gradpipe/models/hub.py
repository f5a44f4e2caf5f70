"""Find the commit that a revision of a hub model refers to, and its small files."""

from __future__ import annotations

import re
from pathlib import Path

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

#: The file that the tokenizers of all models have.
CONFIG = "tokenizer_config.json"
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
