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
    subject: str, check: Callable[[], Iterable[Finding]], secrets: Iterable[str] = ()
) -> list[Finding]:
    """Return the findings of a check; if it fails midway, report the failure as a finding.

    Every finding is a single line, with all ``secrets`` removed.
    """
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except GradpipeError as error:
        findings.append(Finding(subject, "fault", str(error).rstrip(".")))
    # A failure here must not stop the checks of other subjects.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        cure = "fix this and run the doctor again"
        findings.append(Finding(subject, "fault", f"the check failed ({reason})", cure))
    hidden = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def clean(text: str) -> str:
        return " ".join(redact(text, hidden).split())

    return [
        replace(finding, found=clean(finding.found), cure=clean(finding.cure))
        for finding in findings
    ]
