"""Measure a small model of every family against autograd; write the table in the documentation.

``python -m tests.families.sweep`` rewrites the table of docs/explanation/families.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from gradpipe.errors import ModelError
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.layer_list import layer_list
from gradpipe.models.projections import find_gaps, find_projections
from gradpipe.models.refusals import refuse_config
from gradpipe.models.roles import ATTENTION, MLP
from tests.families.autograd import forward, measurable_roles, unpassed, worst_error
from tests.families.tiny import (
    VOCABULARY,
    decoders,
    encoder_decoders,
    make,
    multimodal,
    small_config,
)

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "families.md"
START, END = "<!-- table -->", "<!-- end of table -->"
#: Largest relative error of a family, by the precision in which its small model runs.
BOUNDS = {torch.float64: 1e-6, torch.float32: 2e-3}
#: Letters of an error that are shown.
MOST_LETTERS = 120
#: Errors of models that ask for images or the like.
_NEEDS_MORE = re.compile(
    "required positional|(to|must) specify|not-None|cannot be None|Bbox|`encoder_hidden_states`"
)
#: (tokens, start of the response) of the rows, of different lengths.
SHAPES = ((20, 8), (13, 2))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is measured of a family. ``error`` is the worst relative error, None if none is.

    ``gaps`` are the layers that lack each role, as "2 of 4"; ``missing`` says why roles are
    missing in all layers. ``untried`` says why there is no small model.
    """

    family: str
    roles: tuple[str, ...] = ()
    gaps: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    error: float | None = None
    dtype: torch.dtype = torch.float64
    untried: str = ""

    @property
    def verdict(self) -> str:
        """Whether the family is measured whole, in part, refused, or untried."""
        if self.untried:
            return "not tried"
        if not self.roles:
            return "refused"
        # Dense layers of a mixture have no router, and need none.
        part = self.missing or set(self.gaps) & {*ATTENTION, *MLP}
        return "in part" if part else "whole"

    @property
    def record(self) -> str:
        """The row of the table, without the error."""
        gaps: dict[str, list[str]] = {}
        for role, layers in self.gaps.items():
            gaps.setdefault(layers, []).append(role)
        notes = [f"{', '.join(roles)}: {layers} layers are gaps" for layers, roles in gaps.items()]
        reasons = [*notes, *filter(None, [self.missing, self.untried])]
        return (
            f"| {self.family} | {self.verdict} | {', '.join(self.roles)} | {'; '.join(reasons)} |"
        )


def families() -> list[str]:
    """All families of causal, multimodal and encoder-decoder language models."""
    return sorted({*decoders(), *multimodal(), *encoder_decoders()})


def rows() -> list[TokenRow]:
    """Two rows of random tokens."""
    generator = torch.Generator().manual_seed(1)
    return [
        TokenRow(torch.randint(3, VOCABULARY, (n,), generator=generator).tolist(), start, False)
        for n, start in SHAPES
    ]


def outcome(family: str) -> Outcome:
    """Measure a small model of a family, in float32 if it does not run in float64."""
    try:
        refuse_config(family, small_config(family))
        model, dtype = _running(family)
    except ModelError as refusal:
        return Outcome(family=family, missing=_short(refusal))
    except Exception as error:
        if _NEEDS_MORE.search(str(error)):
            return Outcome(family=family, missing=f"does not run on text alone: {_short(error)}")
        return Outcome(family=family, untried=_short(error))
    roles, reasons = measurable_roles(model)
    if not roles:
        return Outcome(family=family, missing=_missing(reasons))
    try:
        error = worst_error(model, make(small_config(family), dtype), rows(), roles)
    except Exception as failure:
        return Outcome(family=family, missing=_short(failure))
    return Outcome(
        family=family,
        roles=roles,
        gaps=_gaps(model, roles),
        missing=_missing(reasons),
        error=error,
        dtype=dtype,
    )


def _running(family: str) -> tuple[Any, torch.dtype]:
    """A small model of a family that runs on text, and its precision."""
    try:
        model = make(small_config(family))
        forward(model, rows()[0])
    except Exception:
        model = make(small_config(family), torch.float32)
        forward(model, rows()[0])
        return model, torch.float32
    return model, torch.float64


def _gaps(model: Any, roles: tuple[str, ...]) -> dict[str, str]:
    """How many layers lack each role, or are not passed by text, as "2 of 4"."""
    found = find_projections(model, roles)
    lacking: dict[str, list[int]] = {}
    for layer, name in {*find_gaps(model, found, roles), *unpassed(model, found, rows()[0])}:
        lacking.setdefault(name, []).append(layer)
    layers = len(layer_list(model)[1])
    return {role: f"{len(lacking[role])} of {layers}" for role in roles if role in lacking}


def _missing(reasons: dict[str, str]) -> str:
    """Say which of the roles that a decoder should have are missing everywhere, and why."""
    mlp = [role for role in MLP if role in reasons]
    parts = []
    if attention := [role for role in ATTENTION if role in reasons]:
        parts.append(f"{', '.join(attention)}: {_why(reasons[attention[0]])}")
    if mlp and mlp != ["gate"]:
        parts.append(f"{', '.join(mlp)}: {_why(reasons[mlp[-1]])}")
    return "; ".join(parts)


def _why(message: str) -> str:
    for part, short in {
        "routes each token": "mixture of experts",
        "neither side by side": "in one layer that cannot be split",
        "reads its outputs": "in one layer that cannot be split",
        "later tokens": "attends to later tokens",
        "without a gate": "no gate",
    }.items():
        if part in message:
            return short
    return "no layers of a known name"


def _short(error: Exception) -> str:
    lines = " ".join(str(error).split()).replace("|", "/")
    shown = lines if len(lines) <= MOST_LETTERS else f"{lines[:MOST_LETTERS]} …"
    return shown if isinstance(error, ModelError) else f"{type(error).__name__}: {shown}"


def table(outcomes: list[Outcome]) -> str:
    """The table as Markdown."""
    head = [
        "| Family | Measured | Roles | Gaps and reasons | Worst error |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(f"{each.record} {_error(each)} |" for each in outcomes)])


def _error(each: Outcome) -> str:
    if each.error is None:
        return ""
    return f"{each.error:.0e}" + (" (float32)" if each.dtype == torch.float32 else "")


def records(page: str) -> list[str]:
    """The rows of the table in a page, without their errors."""
    inside = page.partition(START)[2].partition(END)[0].strip().splitlines()[2:]
    return [line.rsplit("|", 2)[0] + "|" for line in inside]


def run(names: list[str]) -> Iterator[Outcome]:
    """Measure families one by one."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for name in names:
        yield outcome(name)


def main() -> None:
    """Measure the families named as arguments, or all of them, and rewrite their table."""
    outcomes = []
    for each in run(sys.argv[1:] or families()):
        print(f"{each.record} {_error(each)}", flush=True)
        outcomes.append(each)
    if not sys.argv[1:]:
        before, _, rest = PAGE.read_text("utf-8").partition(START)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{START}\n{table(outcomes)}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
