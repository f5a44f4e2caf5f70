"""Find models with the same weights under different names, such as checkpoints uploaded twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gradpipe.errors import GradpipeError
from gradpipe.models.fingerprint import digest_of_file
from gradpipe.models.gguf_parts import gguf_parts
from gradpipe.models.source import ModelSource
from gradpipe.models.whole_weights import weight_names
from gradpipe.system.hashing import content_hash

#: Bytes of each of the blocks that are compared before whole files are read, and their number.
BLOCK_BYTES, BLOCKS = 4096, 32
#: A sentence names at most this many models, and counts the rest.
MOST_EQUAL_NAMED = 10


def equal_weights(models: Mapping[str, ModelSource]) -> list[list[str]]:
    """Return the names of models whose weight files have equal content, in groups of two or more.

    Tokenizers and configurations may differ. Hub models are compared with each other, by the
    checksums that the hub lists; local ones with each other, and read whole only if blocks of them
    are equal. A model whose files are unknown now is in no group. Sources are pinned.
    """
    if sum(source.kind == "hub" for source in models.values()) < 2:
        models = {name: source for name, source in models.items() if source.kind != "hub"}
    with ThreadPoolExecutor(8) as pool:
        samples = dict(zip(models, pool.map(_sample, models.values()), strict=True))
    return [
        group
        for alike in _groups(samples, models)
        for group in _groups({name: weights_digest(models[name]) for name in alike}, alike)
    ]


def equal_weights_note(names: Sequence[str]) -> str:
    """Return a sentence on a group of ``equal_weights``."""
    shown = list(names[:MOST_EQUAL_NAMED])
    if len(names) > MOST_EQUAL_NAMED:
        shown.append(f"{len(names) - MOST_EQUAL_NAMED} more")
    named = f"{', '.join(shown[:-1])} and {shown[-1]}"
    return (
        f"{named} have the same weights, so their results repeat each other, and some may not be "
        "the checkpoints that their names say."
    )


def weights_digest(source: ModelSource) -> str | None:
    """Hash the content of a pinned model's weight files; None if their content is unknown now.

    A hub model and a copy of its files have the same digest.
    """
    if source.kind == "hub":
        digests = _hub_digests(source)
    else:
        try:
            digests = [digest_of_file(file) for file in _weight_files(source)]
        except GradpipeError:
            return None
    return content_hash("weights", sorted(digests)) if digests else None


def _sample(source: ModelSource) -> str | None:
    """Hash what is cheap to read of the weights: equal weights have equal samples."""
    if source.kind == "hub":
        return weights_digest(source)
    try:
        files = _weight_files(source)
        if not all(file.stat().st_size for file in files):
            # Weights of an adapter in an object store, which are not fetched yet.
            return None
        parts = [_blocks(file) for file in files]
    except (OSError, GradpipeError):
        return None
    return content_hash("sample", sorted(parts)) if parts else None


def _groups(keys: Mapping[str, str | None], order: Iterable[str]) -> list[list[str]]:
    """Group names by equal keys; names without a key, and groups of one, are left out."""
    by_key: dict[str, list[str]] = {}
    for name in order:
        if (key := keys[name]) is not None:
            by_key.setdefault(key, []).append(name)
    return [group for group in by_key.values() if len(group) > 1]


def _weight_files(source: ModelSource) -> list[Path]:
    path = Path(source.id)
    if source.kind == "gguf":
        return gguf_parts(path)
    return [path / name for name in weight_names(file.name for file in path.glob("*.safetensors"))]


def _blocks(file: Path) -> str:
    """Hash the size of a file and some blocks, spread over it evenly."""
    size = file.stat().st_size
    with file.open("rb") as content:
        digest = hashlib.sha256(str(size).encode())
        for number in range(BLOCKS):
            content.seek(max(size - BLOCK_BYTES, 0) * number // (BLOCKS - 1))
            digest.update(content.read(BLOCK_BYTES))
    return digest.hexdigest()


def _hub_digests(source: ModelSource) -> list[str]:
    # Imported here, since it takes a quarter of a second and local models do not need it.
    from gradpipe.models.hub import hub_weight_digests

    return hub_weight_digests(source)
