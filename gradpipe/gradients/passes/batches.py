"""Batches by a token budget: rows of like length share a pass."""

from collections.abc import Iterable
from dataclasses import dataclass

from gradpipe.gradients.tokens import TokenRow

#: The most tokens of a batch, padding included. Short rows alone leave most of a processor idle;
#: what lies beyond gains nothing (a CPU's caches overflow, an accelerator is busy).
CPU_BUDGET = 512
ACCELERATOR_BUDGET = 8192
#: Tokens of the first batch, which shows how much memory a token takes.
FIRST_BUDGET = 512
#: As many tokens a CPU's batch may have in any case, so that the shortest rows share one.
CPU_LEAST = 128
#: A CPU's batch over the longest row: at 365 tokens as fast as 512, and below the peak memory of a
#: full SVD of one row's gradients.
OVER_LONGEST = 1.25


@dataclass(frozen=True)
class Batch:
    """Positions of rows in their list, with the length that they are padded to."""

    rows: tuple[int, ...]
    length: int

    @property
    def tokens(self) -> int:
        """Padded tokens."""
        return len(self.rows) * self.length


def most_tokens(rows: list[TokenRow], on_cpu: bool) -> int:
    """The largest budget for an extraction of ``rows``, however much memory is free.

    On a CPU, whose memory others use too, short rows together take little more than the longest one
    does by itself.
    """
    if not on_cpu:
        return ACCELERATOR_BUDGET
    longest = max((len(row.ids) for row in rows if not row.reason), default=0)
    return min(CPU_BUDGET, max(CPU_LEAST, round(OVER_LONGEST * longest)))


def plan_batches(
    rows: list[TokenRow], budget: int = CPU_BUDGET, of: Iterable[int] | None = None
) -> list[Batch]:
    """Usable rows in batches of at most ``budget`` padded tokens, longest first.

    So the first one takes the most memory, and what it leaves holds the others.

    Every row (``of``: of these positions only) is in exactly one batch; a row longer than the
    budget has one to itself. Padding stays below a tenth: a batch ends where the next row is longer
    by more than that.
    """
    numbers = range(len(rows)) if of is None else of
    usable = (number for number in numbers if not rows[number].reason)
    order = sorted(usable, key=lambda number: (-len(rows[number].ids), number))
    batches: list[Batch] = []
    for number in order:
        tokens = len(rows[number].ids)
        last = batches[-1] if batches else None
        if last and (len(last.rows) + 1) * last.length <= budget and last.length <= 1.1 * tokens:
            batches[-1] = Batch((*last.rows, number), last.length)
        else:
            batches.append(Batch((number,), tokens))
    return batches
