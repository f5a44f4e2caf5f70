"""Numbers into the logging of a Trainer, whichever services it reports to."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from transformers.trainer_callback import CallbackHandler

#: Frames between a callback's own method and the handler that called it, at most.
MOST_FRAMES = 8


def calling_handler() -> CallbackHandler | None:
    """The handler that is calling the callback from which this is called, or None.

    A callback gets neither its Trainer nor the handler as an argument.
    """
    frame = inspect.currentframe()
    for _ in range(MOST_FRAMES):
        frame = frame.f_back if frame is not None else None
        if frame is None:
            return None
        caller = frame.f_locals.get("self")
        if isinstance(caller, CallbackHandler):
            return caller
    return None


def log_numbers(
    numbers: Mapping[str, float],
    args: Any,
    state: Any,
    control: Any,
    handler: CallbackHandler | None,
) -> None:
    """Log numbers at the present step: in ``state.log_history`` and to every logging callback.

    Not by the Trainer's method ``log``, in which those of TRL add their averages since the last
    log and start new ones: other logs would have other numbers.
    """
    logs: dict[str, Any] = dict(numbers)
    if state.epoch is not None:
        logs["epoch"] = state.epoch
    state.log_history.append({**logs, "step": state.global_step})
    if handler is not None:
        # Not by its method `on_log`, which would cancel a log that is due at this step.
        handler.call_event("on_log", args, state, control, logs=logs)
