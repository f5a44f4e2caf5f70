"""A checkpoint of a series as it was found, and the record of one that was computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradpipe.system.hashing import content_hash


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that exists now.

    ``name`` is the last part of its path, or its branch or tag. ``place`` is a path, a URL or a hub
    id, ``revision`` the commit of a hub id. ``stamp`` changes when its files do. ``pending`` says
    why it cannot be used yet, as the end of a sentence; it is empty if the checkpoint is whole.
    ``step`` is None if it cannot be read. ``fingerprint`` is set if the listing decides it.
    """

    name: str
    place: str
    revision: str | None = None
    step: float | None = None
    stamp: str = ""
    pending: str = ""
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What a workspace keeps of a step of a series whose rows it has.

    ``identities`` are the model's parts of the rows' keys, by the hash of the protocol; for any
    other protocol it is the fingerprint. ``notes`` are sentences on its prompts. ``probed``: its
    rows were computed during training, and its weights were never in a file.
    """

    step: float
    place: str
    revision: str | None = None
    fingerprint: str
    identities: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    probed: bool = False

    def identity(self, protocol: Mapping[str, Any]) -> str:
        """The model's part of the keys of its rows under a protocol, given as its ``key()``."""
        return self.identities.get(content_hash(protocol), self.fingerprint)


def step_label(step: float) -> str:
    """A step as text, without trailing zeros: ``100``, ``0.5``."""
    return str(int(step)) if float(step).is_integer() else repr(float(step))


def step_model_name(series: str, step: float) -> str:
    """The name of the model that a step of a series is: ``sft@100``."""
    return f"{series}@{step_label(step)}"
