"""Generate responses with vLLM in this process, where it is installed.

vLLM batches requests by itself, so it gets many prompts at a time. Their responses are stored
before the next prompts start. Sampling has a seed per call, so responses do not depend on one
another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import groupby, islice
from typing import Any

from gradpipe.conversations.think_blocks import opens_thinking
from gradpipe.errors import GradpipeError, ModelError
from gradpipe.generators.answers import CallFailure, GeneratedAnswer, Outcome
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.ledger import Ledger, token_bound
from gradpipe.generators.request_settings import template_variables
from gradpipe.generators.written_tokens import TokenReader
from gradpipe.gradients.passes.memory import make_room
from gradpipe.models.find import find_model
from gradpipe.system.hashing import content_hash

#: Prompts that vLLM gets at a time.
PROMPTS_AT_ONCE = 256

_REASON_LENGTH = 300


def answer_by_vllm(
    calls: list[dict[str, Any]], config: GeneratorConfig, ledger: Ledger
) -> Iterator[list[Outcome]]:
    """Load the model, yield the outcomes of the calls batch by batch, and free the model.

    Raises GradpipeError if vLLM is not installed, ModelError if it cannot load the model.
    """
    writer = _VllmWriter(config)
    try:
        for variables, alike in groupby(sorted(calls, key=_variables), key=_variables):
            while batch := list(islice(alike, PROMPTS_AT_ONCE)):
                admitted = [call for call in batch if ledger.reserve(_tokens(call))]
                if admitted:
                    outcomes = writer.write(admitted, json.loads(variables))
                    for outcome in outcomes:
                        ledger.settle(_tokens(outcome.call), _spent(outcome))
                    yield outcomes
                if ledger.stopped is not None:
                    return
    finally:
        del writer
        make_room()


class _VllmWriter:
    """A chat model that vLLM loaded."""

    def __init__(self, config: GeneratorConfig) -> None:
        try:
            self._vllm = import_module("vllm")
        except ImportError as error:
            raise GradpipeError(
                "The generator 'vllm' needs vLLM: run `pip install vllm` on a machine that it "
                "supports, or start `vllm serve` there and use `kind: openai`."
            ) from error
        self._config = config
        self._sampling = {
            name: value
            for name, value in config.extra_body.items()
            if name != "chat_template_kwargs"
        }
        self._engine = self._load()
        self._tokenizer = self._engine.get_tokenizer()
        end = getattr(self._tokenizer, "eos_token_id", None)
        self._ends = [] if end is None else [int(end)]
        self._reader = TokenReader(self._tokenizer, self._ends)

    def _load(self) -> Any:
        name = str(self._config.model)
        source = find_model(name, self._config.revision)
        if source.base is not None:
            raise ModelError(
                f"{name} is an adapter, which the generator 'vllm' does not merge: use "
                "`kind: transformers`, or the id of a merged model."
            )
        tokenizer = {} if source.tokenizer is None else {"tokenizer": source.tokenizer.id}
        try:
            return self._vllm.LLM(
                model=source.id, revision=source.revision, dtype=self._config.dtype, **tokenizer
            )
        # It raises errors of many packages.
        except Exception as error:
            raise ModelError(
                f"vLLM cannot load {name} ({_reason(error)}): check the model and the memory, or "
                "use `kind: transformers`."
            ) from error

    def write(self, calls: list[dict[str, Any]], variables: dict[str, Any]) -> list[Outcome]:
        """Generate the responses to calls whose template has the same variables."""
        started = time.monotonic()
        try:
            results = self._chat(calls, variables)
        except Exception as error:
            if len(calls) == 1:
                return [Outcome(calls[0], CallFailure(_reason(error)))]
            # One prompt that vLLM refuses fails them all: find out which.
            return [outcome for call in calls for outcome in self.write([call], variables)]
        seconds = (time.monotonic() - started) / len(calls)
        return [
            Outcome(call, self._answer(call, result, seconds))
            for call, result in zip(calls, results, strict=True)
        ]

    def _chat(self, calls: list[dict[str, Any]], variables: dict[str, Any]) -> list[Any]:
        results: list[Any] = self._engine.chat(
            [json.loads(call["messages"]) for call in calls],
            sampling_params=[self._params(call) for call in calls],
            use_tqdm=False,
            chat_template_kwargs=variables or None,
        )
        return results

    def _params(self, call: Mapping[str, Any]) -> Any:
        seed = None
        if self._config.temperature:
            # The key has the sample's number, so samples differ, with or without a seed.
            seed = int(content_hash(self._config.seed or 0, call["key"]), 16) % 2**31
        return self._vllm.SamplingParams(
            **self._sampling,
            temperature=self._config.temperature,
            max_tokens=int(call["max_tokens"]),
            seed=seed,
            # The marks of some models' thinking are special tokens.
            skip_special_tokens=False,
        )

    def _answer(
        self, call: Mapping[str, Any], result: Any, seconds: float
    ) -> GeneratedAnswer | CallFailure:
        output = result.outputs[0]
        prompt = list(result.prompt_token_ids or [])
        inside = opens_thinking(self._tokenizer.decode(prompt, skip_special_tokens=False))
        tokens = list(output.token_ids)
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        part = self._reader.read(tokens[:end], inside)
        if not part.text and part.reasoning is None:
            return CallFailure(f"the response is empty (finish reason {output.finish_reason})")
        return GeneratedAnswer(
            text=part.text,
            finish_reason=output.finish_reason,
            prompt_tokens=len(prompt),
            response_tokens=len(tokens),
            seconds=seconds,
            reasoning=part.reasoning,
            reasoning_tokens=part.reasoning_tokens,
            cut=part.cut,
            fingerprint=json.loads(call["settings"]).get("weights"),
        )


def _variables(call: Mapping[str, Any]) -> str:
    return json.dumps(template_variables(call), sort_keys=True)


def _tokens(call: Mapping[str, Any]) -> int:
    return token_bound(str(call["messages"]), int(call["max_tokens"]))


def _spent(outcome: Outcome) -> int:
    result = outcome.result
    if isinstance(result, CallFailure):
        return 0
    return (result.prompt_tokens or 0) + (result.response_tokens or 0)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:_REASON_LENGTH].rstrip(".")
    return text or type(error).__name__
