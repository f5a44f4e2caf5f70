"""Fingerprint a model: the result changes with its weights, tokenizer or revision only."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from gradpipe.errors import ModelError
from gradpipe.models.adapters.config import (
    ADAPTER_CONFIG,
    read_adapter_config,
    settings_of_adapter,
)
from gradpipe.models.source import ModelSource, base_error
from gradpipe.system.hashing import content_hash
from gradpipe.system.remembered import remembered

#: Files of a model folder that decide its outputs.
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")


def fingerprint(source: ModelSource) -> str:
    """Hash the identity of a model without loading it or importing torch.

    Local files are hashed by content, regardless of their path; hub models by the commit of their
    revision. That of an adapter also depends on its base and on what is measured of it. Raises
    ModelError if the hub has no such model, if the hub is unreachable and the model is not cached,
    or if a local path is unreadable or not a regular file.
    """
    if source.base is not None:
        alone = _adapter_identity(pin(source))
        return content_hash("adapter", fingerprint(source.base), alone, source.adapter)
    if source.kind == "hub":
        return content_hash("hub", source.id, pin(source).revision)
    path = Path(source.id)
    if source.kind == "gguf":
        return content_hash("gguf", _digest(path))
    files = sorted({file for pattern in PATTERNS for file in path.glob(pattern)})
    return content_hash("folder", [(file.name, _digest(file)) for file in files])


def _adapter_identity(source: ModelSource) -> str:
    """Hash what decides an adapter's outputs, of a pinned source."""
    if source.kind == "hub":
        return content_hash("hub", source.id, source.revision)
    path = Path(source.id)
    files = {file for pattern in PATTERNS for file in path.glob(pattern)}
    # The state of a training run lies beside the adapters of its checkpoints.
    files -= {path / ADAPTER_CONFIG, path / "trainer_state.json"}
    settings = settings_of_adapter(read_adapter_config(source.id, path / ADAPTER_CONFIG))
    return content_hash(settings, [(file.name, _digest(file)) for file in sorted(files)])


def pin(source: ModelSource) -> ModelSource:
    """Replace the revisions of a hub model and of an adapter's base by their current commits.

    Raises ModelError as ``fingerprint`` does.
    """
    if source.base is not None:
        try:
            source = replace(source, base=pin(source.base))
        except ModelError as error:
            raise base_error(source.id, source.base.id, error) from error
    if source.kind != "hub":
        return source
    # Imported here, since it takes a quarter of a second and local models do not need it.
    from gradpipe.models.hub import hub_commit

    return replace(source, revision=hub_commit(source))


def _digest(path: Path) -> str:
    if not path.is_file():
        # Reading a device or a pipe may never end.
        raise ModelError(f"{path} is not a regular file: remove it, or fix the link.")
    try:
        return file_digest(path)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}): check the file's permissions."
        ) from error


def file_digest(path: Path) -> str:
    """Return a file's SHA-256, cached by path, size and times, since weights are gigabytes."""
    stat = path.stat()
    identity = [str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]

    def digest() -> dict[str, str]:
        with path.open("rb") as file:
            return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}

    return str(remembered("digests", identity, "sha256", digest))
