"""Chat templates that replace a model's own in a study: .jinja files, and packaged ones."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gradpipe.errors import StudyError, nearest
from gradpipe.untrusted.files import read_regular

#: The largest file of a chat template, in bytes.
LARGEST_TEMPLATE = 2**18
_SUFFIX = ".jinja"


def is_template_file(template: str) -> bool:
    """Whether a study's ``chat_template`` is a path, and not the name of a template that ships."""
    return template.endswith(_SUFFIX)


def read_chat_template(template: str) -> str:
    """The text of a .jinja file, or of the template that ships under a name.

    Raises StudyError for a file that cannot be read, an empty one, and an unknown name.
    """
    folder = resources.files("gradpipe.studies") / "chat_templates"
    if not is_template_file(template):
        names = sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir())
        if template not in names:
            raise StudyError(
                f"There is no chat template {template!r}, neither a {_SUFFIX} file nor one that "
                f"ships: {nearest(template, names)}"
            )
        return (folder / f"{template}{_SUFFIX}").read_text("utf-8")
    try:
        text = read_regular(Path(template).expanduser(), LARGEST_TEMPLATE).decode("utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise StudyError(
            f"The chat template {template} cannot be read: make it a {_SUFFIX} file in UTF-8 of at "
            f"most {LARGEST_TEMPLATE} bytes."
        ) from error
    if not text.strip():
        raise StudyError(f"The chat template {template} is empty: write one, or leave it out.")
    return text
