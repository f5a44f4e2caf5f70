"""Write calls as files of the OpenAI batch format, which ``vllm run-batch`` reads too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gradpipe.generators.config import GeneratorConfig
from gradpipe.system.atomic_files import written_aside
from gradpipe.system.hashing import content_hash

#: The names of request files start with this.
REQUEST_FILES = "requests-"
#: OpenAI's limits of one file: requests, and bytes.
MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000

_URL = "/v1/chat/completions"


def request_line(call: Mapping[str, Any], config: GeneratorConfig) -> str:
    """Return a call (a row of PLAN_SCHEMA) as one line of a batch file, with its key as the id."""
    settings = json.loads(call["settings"])
    limit = settings.get("limit_field") or _limit_field(config)
    body = {
        "model": config.model,
        "messages": json.loads(call["messages"]),
        "temperature": config.temperature,
        limit: int(call["max_tokens"]),
        **settings.get("request", {}),
    }
    if settings.get("seed") is not None:
        body["seed"] = settings["seed"]
    line = {"custom_id": call["key"], "method": "POST", "url": _URL, "body": body}
    return json.dumps(line, ensure_ascii=False) + "\n"


def write_requests(
    calls: list[dict[str, Any]], attempts: Mapping[str, int], config: GeneratorConfig, folder: Path
) -> list[Path]:
    """Write the calls into files within the limits, and return the files.

    ``attempts`` are the failed attempts at a call, by its key. The same calls and attempts have the
    same files, so a run that is repeated writes nothing new. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for keys, lines in _parts((call["key"], request_line(call, config)) for call in calls):
        name = re.sub(r"[^\w.-]+", "-", str(calls[0]["benchmark"]))[:60]
        digest = content_hash([(key, attempts.get(key, 0)) for key in keys], length=10)
        file = folder / f"{REQUEST_FILES}{name}-{digest}.jsonl"
        with written_aside(file) as aside:
            aside.write_text("".join(lines), encoding="utf-8", newline="\n")
        files.append(file)
    return files


def _parts(requests: Iterable[tuple[str, str]]) -> Iterator[tuple[list[str], list[str]]]:
    """Divide requests into keys and lines of one file each."""
    keys: list[str] = []
    lines: list[str] = []
    size = 0
    for key, line in requests:
        length = len(line.encode())
        if lines and (len(lines) == MOST_REQUESTS or size + length > MOST_BYTES):
            yield keys, lines
            keys, lines, size = [], [], 0
        keys.append(key)
        lines.append(line)
        size += length
    if lines:
        yield keys, lines


def _limit_field(config: GeneratorConfig) -> str:
    """The name of the limit's field: OpenAI and vLLM know the newer one, other servers may not."""
    host = urlsplit(config.base_url or "").hostname
    newer = host is None or host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if newer else "max_tokens"
