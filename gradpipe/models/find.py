"""Find a model: its address, pinned, whole, with a tokenizer and a base; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gradpipe.errors import ModelError
from gradpipe.models.adapters.base import tokenizer_source, weights_source, with_adapter_base
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import AdapterReading, ModelName, ModelSource, resolve_model
from gradpipe.models.tokenizer_files import (
    has_tokenizer,
    missing_tokenizer,
    nearby_tokenizer,
    resolve_tokenizer,
)
from gradpipe.models.whole_weights import require_whole_weights


def find_model(
    model: str,
    revision: str | None = None,
    *,
    base: ModelName | None = None,
    adapter: AdapterReading = "merged",
    tokenizer: str | None = None,
    bases: Iterable[str] = (),
    weights: bool = True,
) -> ModelSource:
    """Return the pinned source of a model, with its tokenizer and the base of an adapter.

    ``base`` replaces the base that an adapter names; a full model has none. ``adapter`` is what is
    measured of an adapter. ``tokenizer`` replaces the model's own. A model without one gets that of
    its run's folder, of the first of its ``bases`` that has one, or of the local folder that its
    configuration names; bases are named as ``resolve_tokenizer`` takes them. Without ``weights``,
    the files of the weights are not checked. Raises ModelError if the model, its tokenizer or an
    adapter's base does not exist, if a local model's weights are incomplete, or if a hub model is
    neither reachable nor cached.
    """
    named = resolve_model(model, revision, base=base, adapter=adapter)
    source = with_adapter_base(pin(named), base)
    full = weights_source(source)
    if weights and full.kind == "folder":
        require_whole_weights(model, Path(full.id))
    if tokenizer is not None:
        return replace(source, tokenizer=pin(resolve_tokenizer(tokenizer)))
    own = tokenizer_source(source)
    if has_tokenizer(own):
        return source
    borrowed = _borrowed(own, bases)
    if borrowed is None:
        raise missing_tokenizer(model, own)
    return replace(source, tokenizer=borrowed)


def _borrowed(source: ModelSource, bases: Iterable[str]) -> ModelSource | None:
    """Return the tokenizer of a model without one, or None if none is known."""
    for base in bases:
        try:
            candidate = pin(resolve_tokenizer(base))
        except ModelError:
            continue
        if has_tokenizer(candidate):
            return candidate
    return nearby_tokenizer(source)
