"""Plan batches of rows of similar length within a token budget."""

from collections.abc import Iterable
from dataclasses import dataclass

from gradpipe.gradients.tokens import TokenRow

#: Largest batch in tokens, padding included. Smaller batches would leave most of a processor idle;
#: larger ones gain nothing, since a CPU's caches overflow and an accelerator is already busy.
CPU_BUDGET = 512
ACCELERATOR_BUDGET = 8192
#: Tokens of the first batch, which shows how much memory a token takes.
FIRST_BUDGET = 512
#: Tokens that a batch on a CPU may always have, so that the shortest rows share a batch.
CPU_LEAST = 256
#: Largest batch on a CPU, relative to the longest row. For rows of 365 tokens it is as fast as a
#: budget of 512, and takes less memory than a full SVD of one row's gradients.
OVER_LONGEST = 1.25


@dataclass(frozen=True)
class Batch:
    """Positions of rows in their list, and the length in tokens to which they are padded."""

    rows: tuple[int, ...]
    length: int

    @property
    def tokens(self) -> int:
        """The number of tokens, padding included."""
        return len(self.rows) * self.length


def most_tokens(rows: list[TokenRow], on_cpu: bool) -> int:
    """Return the largest useful budget for ``rows``, regardless of the free memory.

    On a CPU, whose memory is shared with other processes, batches of short rows then take little
    more memory than the longest row alone.
    """
    if not on_cpu:
        return ACCELERATOR_BUDGET
    longest = max((len(row.ids) for row in rows if not row.reason), default=0)
    return min(CPU_BUDGET, max(CPU_LEAST, round(OVER_LONGEST * longest)))


def plan_batches(
    rows: list[TokenRow], budget: int = CPU_BUDGET, positions: Iterable[int] | None = None
) -> list[Batch]:
    """Plan batches of at most ``budget`` padded tokens for the usable rows, longest rows first.

    The first batch takes the most memory, so the others fit if it does. Each usable row, by default
    of all ``positions``, is in exactly one batch; a row longer than the budget has its own. Padding
    is at most a tenth of a row: a batch never mixes rows whose lengths differ by more.
    """
    numbers = range(len(rows)) if positions is None else positions
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
