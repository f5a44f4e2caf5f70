"""Irrelevant responses by sentence shuffle: the paper's way, rebuilt from its published files.

There the sentences of all responses of a style were pooled and dealt out again: what begins an
irrelevant response began another item's, what ends it ended one, and between them stand sentences
from anywhere. That destroys fluency and order along with relevance, which a derangement
(gradpipe.responses.derangement) leaves whole: the two side by side show what the paper's finding
owes to it. Unlike the published files, no item is dealt its own right answer.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from gradpipe.benchmarks.items import How, sampling_order
from gradpipe.errors import DataError
from gradpipe.responses.answers import answer_key, answer_kind, final_answer
from gradpipe.responses.derangement import blocks
from gradpipe.responses.sentences import sentences
from gradpipe.system.hashing import content_hash

_FIRST, _MIDDLE, _LAST = range(3)
_FORBIDDEN = 1e6
_ATTEMPTS = 20

_Ints = npt.NDArray[np.int64]


def shuffled_responses(
    responses: pl.DataFrame, benchmark: str, style: str, seed: int, how: How = "first"
) -> pl.DataFrame:
    """A response of other items' sentences for each item: ``item_id``, ``text``.

    ``responses`` has one row an item: ``item_id``, ``index``, ``answer``, ``text`` and, to know the
    options of a question, ``instruction``; the order of its rows does not matter. Each item gets as
    many sentences as its own response has, of which one stood first, one last and the rest between;
    none is its own or reads like one of its own, and none ends on its answer or, where that is a
    phrase, mentions it. Nor does the whole end on it. A blank response gets one sentence and gives
    none. A style of single answers is thus dealt other items' answers.

    Sentences stay within a block of ten items, in the order in which a sample grows (``how``), so
    that more items leave every earlier block as it was; only what a block cannot fill is drawn from
    the blocks before it, and from later ones if need be.

    Raises DataError for a single item, and for an item that no other item's sentence may go to.
    """
    if responses.height < 2:
        raise DataError(
            f"benchmark {benchmark!r} has {responses.height} item with the style {style!r}: an "
            "irrelevant response is made of other items' sentences, so sample two or more."
        )
    ordered = sampling_order(responses, how, seed)
    texts = ordered["text"].to_list()
    answers = ordered["answer"].to_list()
    asked = ordered["instruction"].to_list() if "instruction" in ordered.columns else None
    pool = _Pool(texts, answers, asked or [None] * len(texts))
    dealt = np.concatenate(
        [
            _deal(pool, block, [seed, benchmark, style, n])
            for n, block in enumerate(blocks(len(texts)))
        ]
    )
    if (dealt < 0).any():
        item = pool.owner[int(np.argmax(dealt < 0))]
        raise DataError(
            f"benchmark {benchmark!r} has no usable {style!r} sentence for an item with the answer "
            f"{(answers[item] or texts[item])[:60]!r}: sample more items, or leave the irrelevant "
            "responses out."
        )
    joined = [pool.join(dealt[pool.owner == item]) for item in range(len(texts))]
    return ordered.select("item_id", pl.Series("text", joined, dtype=pl.String))


def _deal(pool: "_Pool", block: _Ints, seed: list[int | str]) -> _Ints:
    """For each place of the block's items the sentence it gets, or −1 where there is none.

    Role by role a linear assignment with random costs: every sentence of the block goes to one
    place, if that can be. What is left over is drawn from earlier sentences, then from later ones.
    """
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(int(content_hash(*seed), 16))
    places = np.flatnonzero(np.isin(pool.owner, block))
    dealt = np.full(len(places), -1, dtype=np.int64)
    for role in (_FIRST, _MIDDLE, _LAST):
        mine = np.flatnonzero(pool.role[places] == role)
        given = places[mine][~pool.blank[places[mine]]]
        costs = rng.random((len(mine), len(given)))
        costs[pool.clashes(places[mine], given)] = _FORBIDDEN
        rows, columns = linear_sum_assignment(costs)
        allowed = costs[rows, columns] < _FORBIDDEN
        dealt[mine[rows[allowed]]] = given[columns[allowed]]
    for place in np.flatnonzero(dealt < 0):
        dealt[place] = _draw(pool, places[place], places[-1] + 1, rng)
    for item in block:
        _mend(pool, places, dealt, np.flatnonzero(pool.owner[places] == item), rng)
    return dealt


def _mend(
    pool: "_Pool", places: _Ints, dealt: _Ints, mine: _Ints, rng: np.random.Generator
) -> None:
    """Draw an item's sentences again while together they tell its answer, as none does alone."""
    item = int(pool.owner[places[mine[0]]])
    for attempt in range(_ATTEMPTS):
        if (dealt[mine] < 0).any() or not pool.answers_rightly(item, dealt[mine]):
            return
        for place in mine[-1:] if attempt < _ATTEMPTS // 2 else mine:
            dealt[place] = _draw(pool, places[place], places[-1] + 1, rng)
    dealt[mine] = -1


def _draw(pool: "_Pool", place: np.int64, seen: int, rng: np.random.Generator) -> int:
    # A sentence of the place's own role if there is one, else of any; later ones only in need.
    while True:
        candidates = np.arange(min(seen, len(pool)))
        allowed = ~pool.clashes(np.array([place]), candidates)[0] & ~pool.blank[candidates]
        alike = allowed & (pool.role[candidates] == pool.role[place])
        for choice in (alike, allowed):
            if choice.any():
                return int(rng.choice(candidates[choice]))
        if seen >= len(pool):
            return -1
        seen *= 2


class _Pool:
    """Every sentence of every text, in order, as numbers: S sentences.

    ``owner`` [S] is a sentence's item, ``role`` [S] its place in the text, ``wording`` [S] a code
    for each distinct sentence, ``blank`` [S] whether it says nothing.
    """

    def __init__(
        self, texts: list[str], answers: list[str | None], questions: list[str | None]
    ) -> None:
        split = [sentences(text) or [""] for text in texts]
        counts = [len(part) for part in split]
        self.sentences = pl.Series([sentence for part in split for sentence in part])
        self.owner = np.repeat(np.arange(len(texts)), counts)
        self.role = np.concatenate([_roles(count) for count in counts])
        plain = self.sentences.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
        self.wording = plain.rank("dense").to_numpy().astype(np.int64)
        self.blank = (plain == "").to_numpy()
        self._answers, self._questions = answers, questions
        self._stated: dict[str, npt.NDArray[np.object_]] = {}

    def __len__(self) -> int:
        return len(self.sentences)

    def clashes(self, places: _Ints, given: _Ints) -> npt.NDArray[np.bool_]:
        """Whether a place's item may not be given a sentence, [places, given]."""
        items, rows = np.unique(self.owner[places], return_inverse=True)
        barred = np.zeros((len(items), len(given)), dtype=bool)
        for row, item in enumerate(items):
            own = self.wording[self.owner == item]
            barred[row] = np.isin(self.wording[given], own) | self._tells(item, given)
        return barred[rows]

    def join(self, dealt: _Ints) -> str:
        """The dealt sentences as one text; one that ended a text is set off by a space."""
        text = ""
        for sentence in self.sentences.gather(dealt):
            gap = " " if text and not text[-1].isspace() else ""
            text += gap + sentence
        return text.rstrip()

    def answers_rightly(self, item: int, dealt: _Ints) -> bool:
        """Whether the dealt sentences, joined, end on the item's answer."""
        answer = self._answers[item]
        found = final_answer(self.join(dealt), answer, self._questions[item]) if answer else None
        return found is not None and answer_key(found) == answer_key(answer or "")

    def _tells(self, item: np.int64, given: _Ints) -> npt.NDArray[np.bool_]:
        """Whether sentences give away an item's answer, [given]."""
        answer = self._answers[item]
        if not answer:
            return np.zeros(len(given), dtype=bool)
        tells: npt.NDArray[np.bool_] = self._statements(answer)[given] == answer_key(answer)
        if answer_kind(answer) == "phrase":
            named = rf"(?i)(?:^|\W){pl.escape_regex(answer.strip())}(?:$|\W)"
            tells |= self.sentences.gather(given).str.contains(named).to_numpy()
        return tells

    def _statements(self, answer: str) -> npt.NDArray[np.object_]:
        """The key of the answer each sentence ends on, of the kind of ``answer``, [S]."""
        kind: str = answer_kind(answer)
        if kind == "label":
            kind, _ = answer.split()
        if kind not in self._stated:
            found = (final_answer(sentence, answer) for sentence in self.sentences)
            keys = [None if one is None else answer_key(one) for one in found]
            self._stated[kind] = np.array(keys, dtype=object)
        return self._stated[kind]


def _roles(count: int) -> _Ints:
    roles = np.full(count, _MIDDLE, dtype=np.int64)
    roles[0], roles[-1] = _FIRST, _LAST
    return roles
