"""An attempt at a call that brought no answer, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FailedAttempt:
    """An attempt without an answer.

    ``transient``: another attempt may work. ``cure``: what to do if every other call would fail the
    same way. ``retry_after``: the seconds that the server asks to wait. ``billed``: the server may
    have written a response and may charge for it. ``loading``: the server still loads its model,
    which is waited for without counting attempts. ``again``: the request did not reach a model and
    is sent again at once, as part of the same attempt. ``refused``: the field of the request
    that the server refuses, and that can be sent otherwise. ``unreachable``: no connection to the
    server was made. ``missing``: the server has no such path.
    """

    reason: str
    transient: bool = False
    cure: str | None = None
    retry_after: float | None = None
    billed: bool = False
    loading: bool = False
    again: bool = False
    refused: str | None = None
    unreachable: bool = False
    missing: bool = False
