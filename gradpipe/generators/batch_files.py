"""Read a folder of batch files: which requests were written, and what was answered.

Every ``.jsonl`` file of the folder is read, whatever its name: a line with a ``body`` of its own is
a request, one with a ``response`` or an ``error`` is an answer. The output files of OpenAI, its
error files and those of ``vllm run-batch`` have this form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradpipe.errors import DataError
from gradpipe.generators.error_details import read_error_detail
from gradpipe.generators.secrets import redact

_REASON_LENGTH = 300
#: A longer line is read in pieces, none of which is valid, so that memory stays bounded.
_LONGEST_LINE = 64 * 2**20


@dataclass
class BatchFiles:
    """The contents of a folder, for some calls.

    ``answered`` maps a call's key to the bodies of its answers; ``errors`` to the reasons of its
    failed attempts; ``requested`` counts the requests for every key, and ``files`` has the last
    file of each. ``notes`` say what could not be used, each as part of a sentence.
    """

    answered: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    requested: Counter[str] = field(default_factory=Counter)
    files: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def is_waiting(self, key: str) -> bool:
        """Whether a request for this call has no answer yet."""
        return self.requested[key] > len(self.errors.get(key, ()))


def read_batch_files(folder: Path, keys: set[str]) -> BatchFiles:
    """Read the answers to the calls with these keys; raises DataError for an unreadable folder."""
    found = BatchFiles()
    unknown: Counter[Path] = Counter()
    others: dict[str, Path] = {}
    for file in _files(folder):
        for line in _lines(file, found.notes):
            key = line["custom_id"]
            if "response" not in line and "error" not in line:
                found.requested[key] += 1
                found.files[key] = file
            elif key not in keys:
                others[key] = file
            else:
                _take(found, key, line)
    for key, file in others.items():
        if key not in found.requested:
            unknown[file] += 1
    found.notes += [
        f"{file.name} has {count} answers to requests that no file of this folder holds"
        for file, count in unknown.items()
    ]
    return found


def _take(found: BatchFiles, key: str, line: Mapping[str, Any]) -> None:
    """Note the answer to a call, or the reason why it has none."""
    response = line.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code", 200) if isinstance(response, dict) else None
    if status == 200 and isinstance(body, dict) and not line.get("error"):
        found.answered.setdefault(key, []).append(json.dumps(body))
        return
    what = f"the server answered {status}" if status not in (None, 200) else "the request failed"
    detail = _words(line.get("error")) or _words(body)
    detail = detail.encode("utf-8", "replace").decode()
    detail = " ".join(redact(detail, []).split())[:_REASON_LENGTH].rstrip(".")
    found.errors.setdefault(key, []).append(f"{what}: {detail}" if detail else what)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.glob("*.jsonl") if file.is_file())
    except OSError as error:
        raise DataError(
            f"The batch folder {folder} cannot be read ({error.strerror}): check its permissions."
        ) from error


def _lines(file: Path, notes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a batch file, and note the others."""
    invalid: list[int] = []
    ends = True
    try:
        with file.open("rb") as content:
            for number, raw in enumerate(iter(lambda: content.readline(_LONGEST_LINE), b""), 1):
                ends = raw.endswith(b"\n")
                line = _parsed(raw)
                if line is not None:
                    yield line
                elif raw.strip():
                    invalid.append(number)
    except OSError as error:
        notes.append(f"{file.name} cannot be read ({error.strerror})")
        return
    if invalid == [number] and not ends:
        notes.append(f"{file.name} is cut off in line {number}: download it again")
    elif invalid:
        more = f" and {len(invalid) - 1} more" if len(invalid) > 1 else ""
        notes.append(f"{file.name} has no request or answer of a batch in line {invalid[0]}{more}")


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    valid = isinstance(line, dict) and isinstance(line.get("custom_id"), str)
    kinds = {"response", "error", "body"}
    return line if valid and kinds & line.keys() else None


def _words(error: object) -> str:
    """Return what an error says, or its code if it has no message."""
    detail = read_error_detail(error)
    return detail.message or ", ".join(sorted(detail.codes))
