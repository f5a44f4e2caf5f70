"""Irrelevant responses by derangement: every item gets another item's whole response.

The donor has a different answer and a similar length, so only relevance changes. Items are paired
in blocks of ten, in the order in which a sample grows. Adding items to a benchmark leaves the pairs
of every earlier block unchanged, and with them the rows computed from those pairs.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from gradpipe.benchmarks.items import SamplingMethod, sampling_order
from gradpipe.errors import DataError
from gradpipe.system.hashing import content_hash

ITEMS_PER_BLOCK = 10

# Costs are integer millionths of a unit of log length: integer sums are exact, so every machine
# finds the same optimum.
_UNIT = 1_000_000
_JITTER = _UNIT // 10
_FORBIDDEN = 1e12

_Ints = npt.NDArray[np.int64]


def irrelevant_responses(
    responses: pl.DataFrame, benchmark: str, style: str, seed: int, how: SamplingMethod = "first"
) -> pl.DataFrame:
    """Pick a donor for each response of one style: ``item_id``, ``donor_item_id``, ``text``.

    ``responses`` has one row per item: ``item_id``, ``index``, ``answer``, ``text``; row order does
    not matter. If it has a column ``sample``, items with a smaller one come first. No item receives
    a response with its own answer or its own text, or a blank response. Answers are compared
    without case and spacing; if an answer is null, the responses are compared. Each response is
    used once, unless too many answers in and before a block are equal: then a donor of similar
    length is reused. ``how`` is the study's sampling method: it sets the order in which pairs are
    stable.

    Raises DataError for a single item, and for an item whose answer equals that of every other
    item.
    """
    if responses.height < 2:
        raise DataError(
            f"benchmark {benchmark!r} has {responses.height} item with the style {style!r}: an "
            "irrelevant response comes from another item, so sample two or more."
        )
    ordered = sampling_order(responses, how, seed)
    if "sample" in ordered.columns:
        ordered = ordered.sort("sample", maintain_order=True)
    texts = ordered["text"].to_list()
    keys = ordered.select(pl.coalesce("answer", "text")).to_series().to_list()
    donors = pick_donors(texts, keys, [seed, benchmark, style])
    if (donors < 0).any():
        answer = keys[int(np.argmax(donors < 0))]
        raise DataError(
            f"benchmark {benchmark!r} has no usable {style!r} response with another answer than "
            f"{answer[:60]!r}: sample more items, or leave the irrelevant responses out."
        )
    return ordered.select(
        "item_id",
        pl.col("item_id").gather(donors).alias("donor_item_id"),
        pl.col("text").gather(donors),
    )


def pick_donors(texts: list[str], answers: list[str], seed: list[int | str]) -> _Ints:
    """The position of each text's donor, or −1 if no text has a different answer.

    Each block is a linear assignment over its texts and the unused texts of earlier blocks. It
    minimizes |log length − log length| plus a jitter of up to 0.1 drawn from ``seed``.
    """
    # Not at the top: SciPy takes a second to import, and every Dagster process would wait for it.
    from scipy.optimize import linear_sum_assignment

    pool = _Pool(texts, answers)
    donors = np.full(len(texts), -1, dtype=np.int64)
    ungiven = np.empty(0, dtype=np.int64)
    for number, block in enumerate(blocks(len(texts))):
        rng = np.random.default_rng(int(content_hash(*seed, number), 16))
        candidates = np.concatenate([ungiven, block])
        costs = pool.costs(block, candidates, rng)
        rows, columns = linear_sum_assignment(costs)
        allowed = costs[rows, columns] < _FORBIDDEN
        donors[block[rows[allowed]]] = candidates[columns[allowed]]
        ungiven = np.delete(candidates, columns[allowed])
        for item in block[donors[block] < 0]:
            served = np.bincount(donors[donors >= 0], minlength=len(texts))
            donors[item] = _nearest(pool, item, block[-1] + 1, served, rng)
    return donors


def blocks(count: int) -> list[_Ints]:
    """Split ``count`` positions into blocks that do not change when items are added.

    A single last item would have no partner, so it joins the block before.
    """
    starts = list(range(0, count - 1, ITEMS_PER_BLOCK))
    return np.split(np.arange(count), starts[1:])


def _nearest(
    pool: "_Pool", item: np.int64, seen: int, served: _Ints, rng: np.random.Generator
) -> int:
    # Use later items only if necessary, since they change as the benchmark grows.
    while True:
        costs = pool.costs(np.array([item]), np.arange(min(seen, len(pool))), rng)[0]
        if costs.min() < _FORBIDDEN:
            # Scaled to the jitter's range: among donors of equal length, the least used comes
            # first.
            return int((costs + _JITTER * served[: len(costs)]).argmin())
        if seen >= len(pool):
            return -1
        seen *= 2


class _Pool:
    """The texts as numbers: log lengths in units, and a code per distinct answer and text."""

    def __init__(self, texts: list[str], answers: list[str]) -> None:
        self.lengths = np.round(np.log1p([len(text) for text in texts]) * _UNIT)
        self.texts = _codes(texts)
        self.answers = _codes(answers)
        self.blank = np.array([not text.strip() for text in texts])

    def __len__(self) -> int:
        return len(self.lengths)

    def costs(
        self, items: _Ints, donors: _Ints, rng: np.random.Generator
    ) -> npt.NDArray[np.float64]:
        """The cost of giving each donor's text to each item, [items, donors]; forbidden is 1e12."""
        clash = (
            (self.answers[items, None] == self.answers[donors])
            | (self.texts[items, None] == self.texts[donors])
            | self.blank[donors]
        )
        distance = np.abs(self.lengths[items, None] - self.lengths[donors])
        jitter = rng.integers(0, _JITTER, distance.shape)
        return np.where(clash, _FORBIDDEN, distance + jitter)


def _codes(texts: list[str]) -> _Ints:
    seen: dict[str, int] = {}
    normalized = (" ".join(text.casefold().split()) for text in texts)
    return np.array([seen.setdefault(text, len(seen)) for text in normalized], dtype=np.int64)
