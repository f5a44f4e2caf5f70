"""List the branches and tags of a hub model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.checkpoints.steps import read_step
from gradpipe.errors import ModelError


def list_revisions(model_id: str) -> dict[str, str]:
    """The commit of every branch and tag of a hub model; a branch precedes a tag of its name.

    Raises ModelError if the hub has no such model, and a transient one if it cannot be reached.
    """
    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        refs = HfApi().list_repo_refs(model_id)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            f"The hub has no model {model_id!r} that you may read: check the id, or log in with "
            "`hf auth login` if the model is gated."
        ) from error
    # The errors of a connection share no base type.
    except Exception as error:
        raise ModelError(
            f"The revisions of {model_id!r} cannot be listed, since the hub cannot be reached: "
            "connect to the hub, or give local folders.",
            transient=True,
        ) from error
    return {ref.name: ref.target_commit for ref in (*refs.tags, *refs.branches)}


def checkpoints_of_revisions(
    model_id: str,
    revisions: Mapping[str, str],
    wanted: str | Sequence[str],
    steps: Mapping[str, float],
) -> list[Checkpoint]:
    """The revisions (name → commit) that match a glob or are named, as checkpoints, sorted."""
    if isinstance(wanted, str):
        names = sorted(name for name in revisions if fnmatchcase(name, wanted))
    else:
        names = sorted(wanted)
    return [
        Checkpoint(
            name=name,
            place=model_id,
            revision=revisions.get(name),
            step=read_step(name, steps),
            stamp=revisions.get(name, ""),
            pending="" if name in revisions else "is neither a branch nor a tag",
        )
        for name in names
    ]
