"""Checkpoints in an object store: listed there, and fetched into the user's cache to be loaded."""

from __future__ import annotations

import re
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.checkpoints.steps import STATE_BYTES, TRAINER_STATE, read_step
from gradpipe.checkpoints.wholeness import SETTLE_SECONDS, WEIGHT_FILES, is_temporary
from gradpipe.errors import ModelError
from gradpipe.models.adapters.config import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from gradpipe.models.fingerprint import PATTERNS
from gradpipe.models.whole_weights import INDEX
from gradpipe.system.atomic_files import written_aside
from gradpipe.system.hashing import content_hash
from gradpipe.system.remembered import remembered
from gradpipe.system.user_folders import cache_folder
from storage.concurrency import map_concurrently
from storage.object_store import open_store
from storage.store_errors import as_workspace_error

if TYPE_CHECKING:
    from upath import UPath

#: Bytes, tag and time (seconds) of each file of a checkpoint, by name.
RemoteFiles = dict[str, tuple[int, str, float]]
#: How many fetched checkpoints keep their weights.
KEPT_WEIGHTS = 3
#: What a store calls the identity of an object's content, and its time.
_TAGS = ("ETag", "etag", "md5Hash", "crc32c", "LastModified", "last_modified", "updated", "created")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.safetensors)")
#: The file in the place of weights that are not fetched yet; for an adapter it has their name.
_PLACEHOLDER = "not-fetched-yet.safetensors"
#: One of them makes a folder a model. They are fetched last, in this order.
_CONFIGS = (ADAPTER_CONFIG, "config.json")


def list_remote_files(url: str, wanted: str | Sequence[str]) -> dict[str, RemoteFiles]:
    """The files of the checkpoints below a URL that match a pattern or are named, by checkpoint.

    Raises WorkspaceError if the store cannot be read.
    """
    root = open_store(url, "The `id` of a series")
    with as_workspace_error(root, "read"):
        entries: Mapping[str, Any] = root.fs.find(root.path, detail=True)
    checkpoints: dict[str, RemoteFiles] = defaultdict(dict)
    for path, entry in entries.items():
        name, slash, file = path.removeprefix(root.path.rstrip("/") + "/").partition("/")
        if slash and "/" not in file and _is_wanted(name, wanted):
            checkpoints[name][file] = int(entry["size"]), _tag(entry), _time(entry)
    return dict(checkpoints)


def remote_checkpoints(
    url: str,
    files: Mapping[str, RemoteFiles],
    wanted: str | Sequence[str],
    steps: Mapping[str, float],
) -> list[Checkpoint]:
    """The checkpoints of a listing, whole or not, sorted by name."""
    names = sorted(files) if isinstance(wanted, str) else sorted(wanted)
    return [_checkpoint(f"{url.rstrip('/')}/{name}", files.get(name, {}), steps) for name in names]


def fetch_tokenizer(checkpoint: Checkpoint) -> None:
    """Fetch a checkpoint's small files, without its weights, unless they are there."""
    folder = Path(checkpoint.fetched_to)
    if any((folder / name).exists() for name in _CONFIGS):
        return
    place = open_store(checkpoint.place, "The `id` of a series")
    names = [name for name in _file_names(place) if not name.endswith(".safetensors")]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (ADAPTER_WEIGHTS if ADAPTER_CONFIG in names else _PLACEHOLDER)).touch()
    _fetch(place, folder, [name for name in names if name not in _CONFIGS])
    # If the checkpoint was deleted meanwhile, there is neither, and the error says so.
    for name in [name for name in _CONFIGS if name in names] or ["config.json"]:
        _fetch(place, folder, [name])


def fetch_weights(checkpoint: Checkpoint) -> None:
    """Fetch a checkpoint completely, unless it is there.

    Weights that were fetched for other checkpoints are deleted, but for the latest KEPT_WEIGHTS.
    Raises ModelError if the checkpoint in the store is not the one that was listed.
    """
    folder = Path(checkpoint.fetched_to)
    place = open_store(checkpoint.place, "The `id` of a series")
    if not (folder / "complete").exists():
        _delete_older_weights(folder.parent)
        _fetch(place, folder, _file_names(place))
        if not _is_as_listed(checkpoint):
            shutil.rmtree(folder, ignore_errors=True)
            raise ModelError(
                f"The files of {checkpoint.place} changed while they were fetched: nothing was "
                "computed from them, and the next run uses the new ones.",
                transient=True,
            )
        (folder / _PLACEHOLDER).unlink(missing_ok=True)
    # Its time says when the checkpoint was used last.
    (folder / "complete").touch()


def require_as_listed(checkpoint: Checkpoint) -> None:
    """Raise a transient ModelError if the store no longer has the checkpoint that was listed."""
    if not _is_as_listed(checkpoint):
        raise ModelError(
            f"The files of {checkpoint.place} changed after they were listed: the next run uses "
            "what is there then.",
            transient=True,
        )


def _is_as_listed(checkpoint: Checkpoint) -> bool:
    place = open_store(checkpoint.place, "The `id` of a series")
    with as_workspace_error(place, "read"):
        entries = {path.rpartition("/")[2]: e for path, e in _entries(place).items()}
    files = {name: (int(e["size"]), _tag(e), _time(e)) for name, e in entries.items()}
    return _fingerprint(files) == checkpoint.fingerprint


def _checkpoint(place: str, files: RemoteFiles, steps: Mapping[str, float]) -> Checkpoint:
    name, identity = place.rpartition("/")[2], _fingerprint(files)
    return Checkpoint(
        name=name,
        place=place,
        step=read_step(name, steps, _state(place, files.get(TRAINER_STATE))),
        stamp=identity,
        pending=_why_pending(files),
        fingerprint=identity,
        fetched_to=str(cache_folder() / "checkpoints" / content_hash(place, identity)),
    )


def _why_pending(files: RemoteFiles) -> str:
    """Say why a checkpoint cannot be used yet; "" if all its objects are there, and settled."""
    if not files:
        return "does not exist"
    if not any(name in files for name in _CONFIGS):
        return "has no config.json"
    shards = [match for name in files if (match := _SHARD.fullmatch(name))]
    if not any(name in files for name in WEIGHT_FILES):
        if INDEX not in files or not shards:
            return "has no safetensors weights"
        start, count = shards[0][1], shards[0][3]
        for number in range(1, int(count) + 1):
            if (shard := f"{start}-{number:05}-of-{count}.safetensors") not in files:
                return f"has no {shard}"
    # Each object appears whole, but programs send a checkpoint's objects in any order.
    if time.time() - max(seconds for _, _, seconds in files.values()) < SETTLE_SECONDS:
        return f"has files that changed less than {SETTLE_SECONDS:.0f} seconds ago"
    return ""


def _state(place: str, file: tuple[int, str, float] | None) -> bytes | None:
    """The start of a checkpoint's trainer state, fetched once per content."""
    if file is None:
        return None

    def fetch() -> dict[str, str]:
        address = open_store(place, "The `id` of a series") / TRAINER_STATE
        with as_workspace_error(address, "read"), suppress(FileNotFoundError):
            start = address.fs.cat_file(address.path, start=0, end=STATE_BYTES)
            return {"start": bytes(start).decode("utf-8", "replace")}
        return {"start": ""}

    start: str = remembered("trainer_states", [place, file[0], file[1]], "start", fetch)
    return start.encode("utf-8")


def _fingerprint(files: RemoteFiles) -> str:
    """A hash of the files that decide a model's outputs, by name, size and the store's tag."""
    deciding = {n: f for n, f in files.items() if any(fnmatchcase(n, p) for p in PATTERNS)}
    return content_hash("store", [(name, *file[:2]) for name, file in sorted(deciding.items())])


def _fetch(place: UPath, folder: Path, names: Sequence[str]) -> None:
    def fetch(name: str) -> None:
        target = folder / name
        # An empty file may be the placeholder of an adapter's weights.
        if not target.exists() or not target.stat().st_size:
            with written_aside(target) as aside:
                place.fs.get_file((place / name).path, str(aside))

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with as_workspace_error(place, "read"):
            for _ in map_concurrently(fetch, names):
                pass
    except FileNotFoundError as error:
        raise ModelError(
            f"A file of {place} was deleted while it was fetched: the next run uses what is there.",
            transient=True,
        ) from error


def _file_names(place: UPath) -> list[str]:
    """The names of a checkpoint's files that decide a model's outputs."""
    names = [path.rpartition("/")[2] for path in _entries(place)]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in PATTERNS)]


def _entries(place: UPath) -> dict[str, Any]:
    """The objects directly below an address, by path."""
    with as_workspace_error(place, "read"), suppress(FileNotFoundError):
        entries = place.fs.ls(place.path, detail=True)
        return {entry["name"]: entry for entry in entries if entry["type"] == "file"}
    return {}


def _delete_older_weights(folder: Path) -> None:
    """Delete the fetched checkpoints that were used longest ago."""
    complete = sorted(folder.glob("*/complete"), key=lambda file: file.stat().st_mtime)
    for file in complete[: 1 - KEPT_WEIGHTS or None]:
        shutil.rmtree(file.parent, ignore_errors=True)


def _is_wanted(name: str, wanted: str | Sequence[str]) -> bool:
    if isinstance(wanted, str):
        return fnmatchcase(name, wanted) and not is_temporary(name)
    return name in wanted


def _tag(entry: Mapping[str, Any]) -> str:
    return next((str(entry[key]).strip('"') for key in _TAGS if entry.get(key)), "")


def _time(entry: Mapping[str, Any]) -> float:
    """When an object was written, in seconds; 0 if the store does not say."""
    value = next((entry[key] for key in _TIMES if entry.get(key)), 0.0)
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value.timestamp() if isinstance(value, datetime) else float(value)
