"""Generate responses by batch files: write the requests, and read the answers in a later run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gradpipe.errors import GradpipeError
from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome
from gradpipe.generators.batch_files import BatchFiles, read_batch_files
from gradpipe.generators.batch_requests import REQUEST_FILES, write_requests
from gradpipe.generators.client import ChatClient
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger, token_bound

#: Answers that are stored together.
_ANSWERS_AT_ONCE = 256
_ANSWER_FILES = "answers-"


class BatchRun:
    """One run of a ``batch`` generator.

    ``outcomes`` come from the answers in the folder. Afterwards ``next_step`` is what to do about
    calls that are left (None without any), and ``notes`` are faults of files.
    """

    def __init__(
        self, calls: list[dict[str, Any]], config: GeneratorConfig, ledger: Ledger
    ) -> None:
        if config.batch_folder is None:
            raise GradpipeError(
                "The generator 'batch' has no folder for its files: set the generator's "
                "`batch_folder`."
            )
        self._calls = {call["key"]: call for call in calls}
        self._config = config
        self._ledger = ledger
        self._folder = Path(config.batch_folder).expanduser()
        self._read_body = body_reader(config)
        self.next_step: str | None = None
        self.notes: list[str] = []

    def outcomes(self) -> Iterator[list[Outcome]]:
        """Yield the answers and failures that the folder holds, then write what is missing."""
        found = read_batch_files(self._folder, set(self._calls))
        answers = self._answers(found)
        self.notes = found.notes
        for start in range(0, len(answers), _ANSWERS_AT_ONCE):
            yield answers[start : start + _ANSWERS_AT_ONCE]
        answered = {outcome.key for outcome in answers}
        left = [call for key, call in self._calls.items() if key not in answered]
        waiting = [call for call in left if found.is_waiting(call["key"])]
        new = [call for call in left if not found.is_waiting(call["key"])]
        yield [
            Outcome(call, CallFailure(found.errors[call["key"]][-1]))
            for call in new
            if found.errors.get(call["key"])
        ]
        allowed = self._within_budget(new)
        files = [*(found.files[call["key"]] for call in waiting), *self._write(allowed, found)]
        if files:
            count = len(waiting) + len(allowed)
            self.next_step = self._instruction(list(dict.fromkeys(files)), count)

    def _answers(self, found: BatchFiles) -> list[Outcome]:
        """The first answer to each call; one that cannot be read becomes a failed attempt."""
        outcomes, repeated = [], 0
        for key, bodies in found.answered.items():
            results = [self._read_body(body) for body in bodies]
            answers = [result for result in results if isinstance(result, GeneratedAnswer)]
            outcomes += [Outcome(self._calls[key], answer) for answer in answers[:1]]
            repeated += len(answers) > 1
            failures = [r.reason for r in results if not isinstance(r, GeneratedAnswer)]
            found.errors[key] = [*found.errors.get(key, ()), *failures]
        if repeated:
            found.notes.append(
                f"{repeated} requests are answered twice, and the first answer counts"
            )
        return outcomes

    def _within_budget(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        allowed = []
        for call in calls:
            if not self._ledger.reserve(token_bound(call["messages"], call["max_tokens"])):
                break
            allowed.append(call)
        return allowed

    def _write(self, calls: list[dict[str, Any]], found: BatchFiles) -> list[Path]:
        attempts = {key: len(reasons) for key, reasons in found.errors.items()}
        try:
            return write_requests(calls, attempts, self._config, self._folder) if calls else []
        except OSError as error:
            raise GradpipeError(
                f"The requests cannot be written into {self._folder} ({error.strerror}): check the "
                "generator's `batch_folder`."
            ) from error

    def _instruction(self, files: list[Path], count: int) -> str:
        answers = files[0].with_name(files[0].name.replace(REQUEST_FILES, _ANSWER_FILES, 1))
        paths = ["-i", str(files[0]), "-o", str(answers)]
        command = shlex.join(["vllm", "run-batch", *paths, "--model", str(self._config.model)])
        others = f" (and {len(files) - 1} more files)" if len(files) > 1 else ""
        return (
            f"upload the {count} requests in {files[0]}{others} to the server's batch API and save "
            f"its output as a .jsonl file beside it, or run `{command}`; then run again"
        )


def body_reader(config: GeneratorConfig) -> Callable[[str], Any]:
    """Return the function that reads an answer's body as the client of servers does.

    It returns a GeneratedAnswer, or a failed attempt with its ``reason``.
    """
    # No request is sent: an address of this machine needs no key.
    client = ChatClient(config.model_copy(update={"base_url": "http://localhost/v1"}))
    return lambda body: client.read(body, 0.0)
