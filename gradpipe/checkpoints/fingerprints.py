"""Fingerprints of checkpoints, remembered per state of their folders.

A series may have hundreds of checkpoints, each with many files.
"""

from __future__ import annotations

from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.source import ModelSource
from gradpipe.system.hashing import content_hash
from gradpipe.system.remembered import remembered


def checkpoint_fingerprint(source: ModelSource, checkpoint: Checkpoint) -> str:
    """The fingerprint of a checkpoint's files; raises ModelError as ``fingerprint`` does."""
    if checkpoint.fingerprint is not None:
        if source.base is None:
            return checkpoint.fingerprint
        base = fingerprint(source.base)
        return content_hash("adapter", base, checkpoint.fingerprint, source.adapter)
    if source != ModelSource("folder", source.id):
        # It depends on more than the files in the folder.
        return fingerprint(source)
    answer: str = remembered(
        "checkpoint_fingerprints",
        [source.id, checkpoint.stamp],
        "fingerprint",
        lambda: {"fingerprint": fingerprint(source), "folder": source.id},
    )
    return answer
