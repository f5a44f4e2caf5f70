"""Find a model: its address, pinned, with the base of an adapter; nothing is loaded."""

from __future__ import annotations

from gradpipe.models.adapters.base import with_adapter_base
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import AdapterReading, ModelName, ModelSource, resolve_model


def find_model(
    model: str,
    revision: str | None = None,
    *,
    base: ModelName | None = None,
    adapter: AdapterReading = "merged",
) -> ModelSource:
    """Return the pinned source of a model, with that of its base if it is an adapter.

    ``base`` replaces the base that an adapter names; a full model has none. Raises ModelError if
    there is no such model, if it cannot be reached, or if an adapter's base is missing.
    """
    return with_adapter_base(pin(resolve_model(model, revision, base=base, adapter=adapter)), base)
