"""The base of an adapter: which of the two a model's weights, settings and tokenizer are from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gradpipe.models.fingerprint import pin
from gradpipe.models.source import ModelName, ModelSource, base_of_adapter, not_an_adapter_error


def with_adapter_base(source: ModelSource, base: ModelName | None = None) -> ModelSource:
    """Return a pinned source with the base of its adapter, if it is an adapter on the hub."""
    if source.kind != "hub" or source.base is not None:
        return source
    # Imported here, since it takes a quarter of a second and local models do not need it.
    from gradpipe.models.hub import hub_adapter_config

    config = hub_adapter_config(source)
    if config is not None:
        return pin(replace(source, base=base_of_adapter(source.id, config, base)))
    if source.adapter != "merged":
        raise not_an_adapter_error(source.id, source.adapter)
    return source


def tokenizer_source(source: ModelSource) -> ModelSource:
    """Return the source of a model's tokenizer and chat template: the adapter's own, or the base's.

    ``source`` is pinned.
    """
    if source.base is None or source_file(source, "tokenizer_config.json") is not None:
        return source
    return source.base


def source_file(source: ModelSource, name: str) -> Path | None:
    """Return the local path of a small file of a pinned model, or None if it has no such file."""
    if source.kind == "hub":
        # Imported here, since it takes a quarter of a second and local models do not need it.
        from gradpipe.models.hub import hub_file

        return hub_file(source, name)
    path = Path(source.id) / name
    return path if path.is_file() else None


def weights_source(source: ModelSource) -> ModelSource:
    """Return the source of a model's configuration and large weights: an adapter's base."""
    return source if source.base is None else source.base
