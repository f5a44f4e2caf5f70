"""Remember small results in the user's cache folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gradpipe.system.atomic_files import written_aside
from gradpipe.system.hashing import content_hash
from gradpipe.system.user_folders import cache_folder


def remembered(
    kind: str, identity: object, field: str, compute: Callable[[], dict[str, Any]]
) -> Any:
    """Return ``compute()[field]``, or what an earlier call stored for this kind and identity.

    Args:
        kind: The subfolder of the cache folder.
        identity: Everything that the result depends on; JSON-serializable.
        field: The name of the result in what ``compute`` returns.
        compute: Returns the result, and what may help a person who reads the file.
    """
    note = cache_folder() / kind / f"{content_hash(identity)}.json"
    try:
        return json.loads(note.read_text())[field]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    content = compute()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(note) as aside:
            aside.write_text(json.dumps(content))
    except OSError:
        # Only the stored result is lost: a read-only home must not stop a run.
        pass
    return content[field]
