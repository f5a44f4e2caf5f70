"""The files of a .gguf model in parts, such as ``model-00001-of-00003.gguf``."""

from __future__ import annotations

import re
from pathlib import Path

from gradpipe.errors import ModelError

#: How llama.cpp names parts: their number, and how many there are.
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
#: A name may claim any number of parts.
MAX_PARTS = 1000


def gguf_parts(path: Path) -> list[Path]:
    """Return all parts of a model, in order, given any of them; a whole file is its only part.

    Raises ModelError if a part is missing beside the others, or the name claims too many.
    """
    match = _PART.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count <= MAX_PARTS:
        raise ModelError(
            f"{path.name} is named as part {int(match['number'])} of {count}: correct its name."
        )
    parts = [
        path.with_name(f"{match['stem']}-{number:05}-of-{match['count']}.gguf")
        for number in range(1, count + 1)
    ]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ModelError(
            f"{path.name} is one of {count} parts, and {', '.join(missing[:3])}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            + f" {'is' if len(missing) == 1 else 'are'} not beside it: put all parts into one "
            "folder."
        )
    return parts
