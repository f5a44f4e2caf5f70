"""Find the commit that a revision of a hub model refers to."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import repo_folder_name

from gradpipe.errors import ModelError
from gradpipe.models.source import ModelSource

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


def cached_commit(model_id: str, revision: str) -> str | None:
    """Return the commit of a revision at its last download, or None."""
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=model_id, repo_type="model")
    reference = folder / "refs" / revision
    commit = reference.read_text("utf-8", "replace").strip() if reference.is_file() else ""
    return commit if _COMMIT.fullmatch(commit) else None
