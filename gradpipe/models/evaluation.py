"""Evaluate a model without leaving a trace: its modes and its configuration are restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode and named outputs; restore both on exit, module by module.

    With ``return_dict=False`` in its configuration, a model of transformers fails on the outputs of
    its own decoder.
    """
    modes = [(module, module.training) for module in model.modules()]
    configs = _configs_of_tuples(model)
    model.eval()
    try:
        for config, _ in configs:
            config.return_dict = True
        yield
    finally:
        for config, setting in configs:
            config.return_dict = setting
        for module, training in modes:
            # Not by train(), which sets the mode of all modules below.
            module.training = training


def _configs_of_tuples(model: nn.Module) -> list[tuple[Any, bool | None]]:
    """Return each configuration in ``model`` that asks for tuples, with its ``return_dict``."""
    configs = {id(config): config for config in map(_config, model.modules())}
    settings = [(config, getattr(config, "return_dict", True)) for config in configs.values()]
    return [(config, setting) for config, setting in settings if not setting]


def _config(module: Any) -> Any:
    return getattr(module, "config", None)
