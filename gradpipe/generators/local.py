"""Responses written by a local model, in batches."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from gradpipe.errors import ModelError
from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger
from gradpipe.system.hashing import content_hash

if TYPE_CHECKING:
    import torch

    from gradpipe.models.load import LoadedModel


@dataclass(frozen=True)
class _Prompt:
    """A call as tokens; ``room`` is how many the response may have."""

    call: Mapping[str, Any]
    ids: list[int]
    room: int


def answer_locally(
    calls: list[dict[str, Any]], config: GeneratorConfig, ledger: Ledger
) -> Iterator[list[Outcome]]:
    """What became of the calls, a batch at a time; the model is loaded first and freed at the end.

    Raises ModelError where the model cannot be loaded, has no chat template or does not fit.
    """
    from gradpipe.gradients.passes.memory import make_room
    from gradpipe.models.load import load_model

    loaded = load_model(str(config.model), config.revision, config.dtype)
    writer = _Writer(loaded, config)
    del loaded
    try:
        prompts = [writer.prompt(call) for call in calls]
        overlong = [prompt for prompt in prompts if prompt.room < 1]
        if overlong:
            yield [Outcome(prompt.call, writer.overlong(prompt)) for prompt in overlong]
        for batch in _batches([prompt for prompt in prompts if prompt.room >= 1], config.batch):
            admitted = [each for each in batch if ledger.reserve(len(each.ids) + each.room)]
            if admitted:
                yield _settled(writer.write(admitted), admitted, ledger)
            if ledger.stopped is not None:
                return
    finally:
        del writer
        make_room()


def _batches(prompts: list[_Prompt], size: int) -> Iterator[list[_Prompt]]:
    # Of like length, to pad little, and of one room each: a row's text is cut at its own limit,
    # not at its neighbours'.
    ordered = sorted(prompts, key=lambda prompt: (prompt.room, len(prompt.ids), prompt.call["key"]))
    for _, alike in groupby(ordered, key=lambda prompt: prompt.room):
        while batch := list(islice(alike, size)):
            yield batch


def _settled(
    results: list[GeneratedAnswer | CallFailure], prompts: list[_Prompt], ledger: Ledger
) -> list[Outcome]:
    for prompt, result in zip(prompts, results, strict=True):
        reserved = len(prompt.ids) + prompt.room
        written = result.response_tokens if isinstance(result, GeneratedAnswer) else 0
        ledger.settle(reserved, len(prompt.ids) + (written or 0))
    return [Outcome(prompt.call, result) for prompt, result in zip(prompts, results, strict=True)]


class _Writer:
    """A chat model that writes a batch of responses."""

    def __init__(self, loaded: LoadedModel, config: GeneratorConfig) -> None:
        from transformers import GenerationConfig

        self._name, self._config = loaded.name, config
        self._model, self._device, self._window = loaded.model, loaded.device, loaded.window
        self._tokenizer: Any = loaded.tokenizer
        if not getattr(self._tokenizer, "chat_template", None):
            raise ModelError(
                f"The tokenizer of {loaded.name} has no chat template: let an instruction-tuned "
                "model write the responses."
            )
        self._ends = _end_tokens(self._model, self._tokenizer)
        # The study's settings alone decide, not sampling or penalties that come with the model.
        self._model.generation_config = GenerationConfig()

    def prompt(self, call: Mapping[str, Any]) -> _Prompt:
        """A call's tokens in the model's chat template, and the room that its window leaves."""
        text = self._templated(json.loads(call["messages"]))
        ids = list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        room = int(call["max_tokens"])
        return _Prompt(call, ids, min(room, self._window - len(ids)) if self._window else room)

    def overlong(self, prompt: _Prompt) -> CallFailure:
        """Why a prompt without room is not answered."""
        return CallFailure(
            f"the prompt of {len(prompt.ids)} tokens fills the model's window of {self._window}"
        )

    def _templated(self, messages: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        try:
            return self._applied(messages)
        except TemplateError:
            # Some templates know no system role: its text then leads the user's message.
            joined = "\n\n".join(message["content"] for message in messages)
            return self._applied([{"role": "user", "content": joined}])

    def _applied(self, messages: list[dict[str, str]]) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return text

    def write(self, prompts: list[_Prompt]) -> list[GeneratedAnswer | CallFailure]:
        """The responses to prompts of one room, in one batch; each row's seconds are its share."""
        from gradpipe.gradients.passes.memory import out_of_memory

        started = time.monotonic()
        try:
            written = self._generate(prompts)
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise ModelError(
                f"{len(prompts)} responses of {self._name} at a time do not fit into memory: set "
                "the generator's batch or max_tokens lower."
            ) from error
        seconds = (time.monotonic() - started) / len(prompts)
        return [
            self._answer(prompt, row, seconds) for prompt, row in zip(prompts, written, strict=True)
        ]

    def _generate(self, prompts: list[_Prompt]) -> list[list[int]]:
        """The tokens behind each prompt, up to the longest row's end."""
        import torch
        from transformers import GenerationConfig

        longest = max(len(prompt.ids) for prompt in prompts)
        pad = self._ends[0] if self._ends else 0
        ids = torch.full((len(prompts), longest), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[row, longest - len(prompt.ids) :] = 1
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=prompts[0].room,
            pad_token_id=pad,
            eos_token_id=self._ends or None,
        )
        with torch.inference_mode():
            whole = self._model.generate(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=settings,
                logits_processor=self._sampling(prompts),
            )
        rows: list[list[int]] = whole[:, longest:].tolist()
        return rows

    def _sampling(self, prompts: list[_Prompt]) -> list[Any]:
        if not self._config.temperature:
            return []
        seeds = [content_hash(self._config.seed or 0, each.call["key"]) for each in prompts]
        return [_Sampling(self._config.temperature, seeds)]

    def _answer(
        self, prompt: _Prompt, row: list[int], seconds: float
    ) -> GeneratedAnswer | CallFailure:
        end = next((place for place, token in enumerate(row) if token in self._ends), None)
        tokens = row if end is None else row[: end + 1]
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        if not text.strip():
            return CallFailure("the response is empty")
        reason = "length" if end is None else "stop"
        return GeneratedAnswer(text, reason, len(prompt.ids), len(tokens), seconds)


class _Sampling:
    """Draws tokens at a temperature, each row from its own seed.

    The highest of log probabilities with Gumbel noise is a draw from their distribution. Greedy
    search over them gives each row a text that does not depend on the other rows of its batch.
    """

    def __init__(self, temperature: float, seeds: list[str]) -> None:
        import torch

        self._temperature = temperature
        self._generators = [torch.Generator().manual_seed(int(seed, 16) % 2**63) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [rows, vocabulary] over the temperature, plus noise."""
        import torch

        waits = [
            torch.empty(scores.shape[-1]).exponential_(generator=generator)
            for generator in self._generators
        ]
        noise = -torch.stack(waits).log().to(scores.device)
        return scores.float() / self._temperature + noise


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a response: the model's own, and its tokenizer's."""
    own = getattr(model.generation_config, "eos_token_id", None)
    ends = own if isinstance(own, list) else [own]
    return list(
        dict.fromkeys(int(end) for end in [*ends, tokenizer.eos_token_id] if end is not None)
    )
