"""Findings of the doctor, and checks whose failures do not stop other checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from gradpipe.errors import GradpipeError
from gradpipe.generators.secrets import redact

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """The result of checking a subject, and the fix if there is a problem.

    ``found`` and ``cure`` are sentences without their full stops; an ok result
    needs no fix.
    """

    subject: str
    state: State
    found: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.found}: {self.cure}" if self.cure else self.found

    def as_dict(self) -> dict[str, str]:
        """Return the finding as a dictionary."""
        return asdict(self)


def examine(
    subject: str, look: Callable[[], Iterable[Finding]], secrets: Iterable[str] = ()
) -> list[Finding]:
    """Return the findings of a check; if it fails midway, report the failure as a finding.

    Every finding is a single line, with all ``secrets`` removed.
    """
    found: list[Finding] = []
    try:
        found.extend(look())
    except GradpipeError as error:
        found.append(Finding(subject, "fault", str(error).rstrip(".")))
    # A failure here must not stop the checks of other subjects.
    except Exception as error:
        what = f"{type(error).__name__}: {error}".strip(": ")
        found.append(
            Finding(subject, "fault", f"cannot be looked at ({what})", "mend that, and look again")
        )
    hidden = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def clean(text: str) -> str:
        return " ".join(redact(text, hidden).split())

    return [replace(each, found=clean(each.found), cure=clean(each.cure)) for each in found]
