"""Read a checkpoint's step.

A step that the study gives wins. Next comes ``trainer_state.json``, since the training itself wrote
it, and a folder's name may count epochs or be changed later. The name is the last resort.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: The file in which transformers' Trainer keeps the step, written after all others.
TRAINER_STATE = "trainer_state.json"
#: The bytes of it that are read: keys are sorted, so the step stands before the long log.
STATE_BYTES = 2**16

_NUMBER = r"(\d+(?:\.\d+)?)"
_NAMED = re.compile(rf"(?:step|checkpoint|ckpt|iteration|iter)s?[-_=]?{_NUMBER}", re.I)
_ANY = re.compile(_NUMBER)
_GLOBAL_STEP = re.compile(rb'"global_step"\s*:\s*(\d+)')


def read_step(name: str, given: Mapping[str, float], state: bytes | None = None) -> float | None:
    """Return a checkpoint's step, or None if it cannot be read.

    ``given`` are the study's steps by name, ``state`` the first bytes of ``trainer_state.json``.
    """
    if name in given:
        return given[name]
    match = _GLOBAL_STEP.search(state) if state else None
    return float(match[1]) if match else step_in_name(name)


def step_in_name(name: str) -> float | None:
    """The number behind a word such as ``step`` or ``checkpoint``, or else the last number.

    ``step1000-tokens4B`` is step 1000, ``epoch-3`` is step 3. None if there is no number.
    """
    numbers = _NAMED.findall(name) or _ANY.findall(name)
    return float(numbers[-1]) if numbers else None
