"""Generate responses with a local model, in batches."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import torch
from transformers import GenerationConfig

from gradpipe.conversations.think_blocks import opens_thinking
from gradpipe.errors import ModelError
from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger
from gradpipe.generators.request_settings import template_variables
from gradpipe.generators.token_filters import token_filters
from gradpipe.generators.written_tokens import TokenReader, end_tokens
from gradpipe.gradients.chat_templates import ChatTemplate
from gradpipe.gradients.passes.memory import make_room, out_of_memory
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.vocabulary import beyond_vocabulary, embedding_count
from gradpipe.models.load import LoadedModel, load_model
from gradpipe.system.hashing import content_hash


@dataclass(frozen=True)
class _Prompt:
    """A call as tokens; ``room`` is the most tokens of its response.

    ``inside``: the prompt ends in a think block that the template opened.
    """

    call: Mapping[str, Any]
    ids: list[int]
    room: int
    inside: bool


def answer_locally(
    calls: list[dict[str, Any]], config: GeneratorConfig, ledger: Ledger
) -> Iterator[list[Outcome]]:
    """Load the model, yield the outcomes of the calls batch by batch, and free the model.

    Raises ModelError if the model cannot be loaded, has no chat template or does not fit.
    """
    loaded = load_model(str(config.model), config.revision, config.dtype)
    writer = _Writer(loaded, config)
    del loaded
    try:
        prompts = [writer.prompt(call) for call in calls]
        failures = [writer.failure(prompt) for prompt in prompts]
        judged = list(zip(prompts, failures, strict=True))
        if any(failures):
            yield [Outcome(prompt.call, failure) for prompt, failure in judged if failure]
        for batch in _batches([prompt for prompt, failure in judged if not failure], config.batch):
            admitted = [prompt for prompt in batch if ledger.reserve(len(prompt.ids) + prompt.room)]
            if admitted:
                yield _settled(writer.write(admitted), admitted, ledger)
            if ledger.stopped is not None:
                return
    finally:
        del writer
        make_room()


def _batches(prompts: list[_Prompt], size: int) -> Iterator[list[_Prompt]]:
    # Of similar length, to limit padding, and of the same room: each response is cut at its own
    # limit.
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
        self._name, self._config = loaded.name, config
        self._model, self._device, self._window = loaded.model, loaded.device, loaded.window
        self._tokenizer: Any = loaded.tokenizer
        if not getattr(self._tokenizer, "chat_template", None):
            raise ModelError(
                f"The tokenizer of {loaded.name} has no chat template: use an instruction-tuned "
                "model."
            )
        self._templates: dict[tuple[str | None, str], ChatTemplate] = {}
        self._filters = token_filters(config.extra_body)
        template = self._template(None, {})
        self._ends = end_tokens(self._model, self._tokenizer, template)
        self._reader = TokenReader(self._tokenizer, self._ends)
        # Ignore sampling and penalties that come with the model: only the study's settings count.
        self._model.generation_config = GenerationConfig()

    def prompt(self, call: Mapping[str, Any]) -> _Prompt:
        """Return a call's tokens in the model's chat template, and the room left in its window."""
        text = self._templated(json.loads(call["messages"]), template_variables(call))
        ids = list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        room = int(call["max_tokens"])
        room = min(room, self._window - len(ids)) if self._window else room
        return _Prompt(call, ids, room, opens_thinking(text))

    def failure(self, prompt: _Prompt) -> CallFailure | None:
        """Return why a prompt cannot be continued: no room is left, or a token is unknown."""
        if prompt.room < 1:
            return CallFailure(
                f"the prompt of {len(prompt.ids)} tokens fills the model's window of {self._window}"
            )
        reason = beyond_vocabulary(prompt.ids, embedding_count(self._model))
        return None if reason is None else CallFailure(reason)

    def _templated(self, messages: list[dict[str, str]], variables: dict[str, Any]) -> str:
        turns = [message for message in messages if message["role"] != "system"]
        system = next((m["content"] for m in messages if m["role"] == "system"), None)
        text = self._template(system, variables).prompt_after(turns)
        if system is None or system.strip() in text:
            return text
        # Some templates have no system role: prepend its text to the user's first message.
        first = turns[0] | {"content": f"{system}\n\n{turns[0]['content']}"}
        return self._template(None, variables).prompt_after([first, *turns[1:]])

    def _template(self, system: str | None, variables: dict[str, Any]) -> ChatTemplate:
        """The chat template as gradients read it, so that both see the same prompt and date."""
        key = system, json.dumps(variables, sort_keys=True)
        if key not in self._templates:
            protocol = make_protocol(
                system=system, thinking="inside", chat_template_kwargs=variables
            )
            self._templates[key] = ChatTemplate(self._tokenizer, protocol, self._name)
        return self._templates[key]

    def write(self, prompts: list[_Prompt]) -> list[GeneratedAnswer | CallFailure]:
        """Generate the responses to prompts of the same room; the seconds are shared equally."""
        started = time.monotonic()
        try:
            written = self._generate(prompts)
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise ModelError(
                f"{len(prompts)} responses of {self._name} at a time do not fit into memory: lower "
                "the generator's batch or max_tokens."
            ) from error
        seconds = (time.monotonic() - started) / len(prompts)
        return [
            self._answer(prompt, row, seconds) for prompt, row in zip(prompts, written, strict=True)
        ]

    def _generate(self, prompts: list[_Prompt]) -> list[list[int]]:
        """Return the tokens after each prompt, up to the end of the longest response."""
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
        seeds = [content_hash(self._config.seed or 0, prompt.call["key"]) for prompt in prompts]
        return [_Sampling(self._config.temperature, seeds, self._filters)]

    def _answer(
        self, prompt: _Prompt, row: list[int], seconds: float
    ) -> GeneratedAnswer | CallFailure:
        end = next((place for place, token in enumerate(row) if token in self._ends), None)
        tokens = row if end is None else row[: end + 1]
        part = self._reader.read(row[:end], prompt.inside)
        if not part.text.strip() and part.reasoning is None:
            return CallFailure("the response is empty")
        return GeneratedAnswer(
            text=part.text,
            # Past a stop token, the model wrote on after the end of its turn.
            finish_reason="length" if end is None and part.cut is None else "stop",
            prompt_tokens=len(prompt.ids),
            response_tokens=len(tokens),
            seconds=seconds,
            reasoning=part.reasoning,
            reasoning_tokens=part.reasoning_tokens,
            cut=part.cut,
            fingerprint=json.loads(prompt.call["settings"]).get("weights"),
        )


class _Sampling:
    """Sample tokens at a temperature, with one seed per row.

    The maximum of log probabilities plus Gumbel noise is a sample of their distribution. Greedy
    search over these sums makes each row's text independent of the other rows in its batch.
    """

    def __init__(self, temperature: float, seeds: list[str], filters: Sequence[Any] = ()) -> None:
        self._temperature = temperature
        self._filters = filters
        self._generators = [torch.Generator().manual_seed(int(seed, 16) % 2**63) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores [rows, vocabulary] divided by the temperature, filtered, plus noise."""
        waits = [
            torch.empty(scores.shape[-1]).exponential_(generator=generator)
            for generator in self._generators
        ]
        noise = -torch.stack(waits).log().to(scores.device)
        scaled = scores.float() / self._temperature
        for kept in self._filters:
            scaled = kept(input_ids, scaled)
        return scaled + noise
