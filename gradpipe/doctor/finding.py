"""A finding of the doctor, and a look at one subject that hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from gradpipe.errors import GradpipeError
from gradpipe.generators.secrets import redact

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """What was found of a subject, and what to do about it where it is not well.

    ``found`` and ``cure`` are sentences without their full stops; nothing is to be done about what
    is ok.
    """

    subject: str
    state: State
    found: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.found}: {self.cure}" if self.cure else self.found

    def as_dict(self) -> dict[str, str]:
        """The same for programs."""
        return asdict(self)


def examine(
    subject: str, look: Callable[[], Iterable[Finding]], secrets: Iterable[str] = ()
) -> list[Finding]:
    """What a look finds, up to where it fails, and that as a finding of its own.

    No finding holds any of ``secrets``, nor more than one line.
    """
    found: list[Finding] = []
    try:
        found.extend(look())
    except GradpipeError as error:
        found.append(Finding(subject, "fault", str(error).rstrip(".")))
    # Whatever is broken here must not keep the other subjects from being looked at.
    except Exception as error:
        what = f"{type(error).__name__}: {error}".strip(": ")
        found.append(
            Finding(subject, "fault", f"cannot be looked at ({what})", "mend that, and look again")
        )
    hidden = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def clean(text: str) -> str:
        return " ".join(redact(text, hidden).split())

    return [replace(each, found=clean(each.found), cure=clean(each.cure)) for each in found]
