"""Convert names to slugs, which are safe in a path and as a Dagster partition key, and back."""

import re
from functools import lru_cache

from gradpipe.errors import WorkspaceError

_PLAIN = re.compile(r"[A-Za-z0-9._-]")
_STEP = re.compile(r"[A-Za-z0-9._-]+@[0-9]+(\.[0-9]+)?")


@lru_cache(maxsize=4096)
def slug(name: str) -> str:
    """Encode a name with only letters, digits and ``. _ - ~ = @``; different names differ.

    ``/`` becomes ``~``. Every other character, a leading dot, and a dot after a dot (Dagster reads
    ``...`` as a range of partitions) becomes ``=`` and its two-digit hex bytes, but for the ``@``
    before the step of a series. Names that differ only in capitals have slugs that differ only in
    capitals, so that slugs stay readable. A study with two such names is refused, because some file
    systems would mix up their files.

    Raises WorkspaceError if the name is empty or too long.
    """
    encoded = "".join(
        char
        if _PLAIN.fullmatch(char) and before + char != ".."
        else "~"
        if char == "/"
        else "".join(f"={byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
        for before, char in zip("." + name, name, strict=False)
    )
    # A step of a series, such as sft@100, keeps its name.
    if _STEP.fullmatch(name):
        encoded = encoded.replace("=40", "@")
    if not encoded or len(encoded) > 200:
        raise WorkspaceError(f"The name {name[:40]!r}... is empty or too long: give a shorter one.")
    return encoded


def earlier_slug(name: str) -> str:
    """The slug that versions without series gave to a name such as ``gpt2@7``."""
    return slug(name).replace("@", "=40")


def unslug(encoded: str) -> str:
    """Decode a slug; raises WorkspaceError if ``encoded`` is not a slug."""
    text = encoded.replace("~", "/").encode("utf-8")
    raw = re.sub(rb"=([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text)
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise WorkspaceError(
            f"{encoded[:60]!r} is not a name of a model or benchmark as gradpipe writes it: copy "
            "one from `gradpipe status`."
        ) from error
