"""Names as slugs: safe in a path and as a Dagster partition key, and back."""

import re

from gradpipe.errors import WorkspaceError

_PLAIN = re.compile(r"[A-Za-z0-9._-]")


def slug(name: str) -> str:
    """A name with only letters, digits and ``. _ - ~ =``; no two names share one.

    ``/`` becomes ``~``; every other character, a leading dot, and a dot behind a dot (Dagster takes
    ``...`` for a range of partitions) becomes ``=`` and its two-digit hex bytes. Names that differ
    in the case of English letters only have slugs that do too, so that people can read them; a
    study is refused that has two such names, since some file systems would mix up their files.
    """
    encoded = "".join(
        char
        if _PLAIN.fullmatch(char) and before + char != ".."
        else "~"
        if char == "/"
        else "".join(f"={byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
        for before, char in zip("." + name, name, strict=False)
    )
    if not encoded or len(encoded) > 200:
        raise WorkspaceError(f"The name {name[:40]!r}... is empty or too long: give a shorter one.")
    return encoded


def unslug(encoded: str) -> str:
    """The name that ``slug`` was given; raises WorkspaceError for what is no slug."""
    text = encoded.replace("~", "/").encode("utf-8")
    raw = re.sub(rb"=([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text)
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise WorkspaceError(
            f"{encoded[:60]!r} is no name of a model or benchmark as gradpipe writes it: take one "
            "from `gradpipe status`."
        ) from error
