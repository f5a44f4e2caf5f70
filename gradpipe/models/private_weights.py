"""Copy weights out of their files, which a training may rewrite while they are used.

On the CPU, loaded weights are a view of the file. If a program rewrites the file in place, the next
read ends the process with SIGBUS, or returns other numbers.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import LoadedModel
from gradpipe.models.source import ModelSource


def copy_weights(loaded: LoadedModel, source: ModelSource, expected: str) -> None:
    """Replace the weights on the CPU by copies, then check that they are the expected ones.

    Raises a transient ModelError if the files changed since ``expected``, their fingerprint, was
    taken. Deleted files are fine: the loaded weights are complete.
    """
    tensors = chain(loaded.model.parameters(), loaded.model.buffers())
    # Tied weights share a storage, and have to share its copy.
    copies: dict[tuple[Any, ...], Any] = {}
    for tensor in tensors:
        if tensor.device.type == "cpu":
            pointer = tensor.data_ptr(), tensor.shape, tensor.stride()
            copies.setdefault(pointer, tensor.data.clone())
            tensor.data = copies[pointer]
    now = fingerprint(source) if (Path(source.id) / "config.json").is_file() else expected
    if {loaded.fingerprint, now} != {expected}:
        raise changed_files_error(loaded.name)


def changed_files_error(name: str) -> ModelError:
    """Return the error for a model whose files are no longer those of its fingerprint."""
    return ModelError(
        f"The files of {name!r} changed while they were loaded: nothing was computed from them, "
        "and the next run uses the new ones.",
        transient=True,
    )
