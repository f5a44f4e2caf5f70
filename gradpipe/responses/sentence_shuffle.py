"""Irrelevant responses by sentence shuffle: the paper's method, rebuilt from its files.

The paper pools the sentences of all responses of a style and redistributes them. The first sentence
of an irrelevant response was the first of another item's response, and the last was a last one. The
sentences between them come from anywhere. Shuffling destroys fluency and order along with
relevance. A derangement (gradpipe.responses.derangement) keeps fluency and order intact, so
comparing the two shows how much of the paper's finding is due to them. Unlike in the published
files, no item gets its own correct answer.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from gradpipe.benchmarks.items import SamplingMethod, sampling_order
from gradpipe.errors import DataError
from gradpipe.responses.derangement import blocks
from gradpipe.responses.final_answer.compare import answer_key
from gradpipe.responses.final_answer.find import final_answer
from gradpipe.responses.final_answer.kinds import answer_kind
from gradpipe.responses.sentences import sentences
from gradpipe.system.hashing import content_hash

_FIRST, _MIDDLE, _LAST = range(3)
_FORBIDDEN = 1e6
_ATTEMPTS = 20

_Ints = npt.NDArray[np.int64]


def shuffled_responses(
    responses: pl.DataFrame, benchmark: str, style: str, seed: int, how: SamplingMethod = "first"
) -> pl.DataFrame:
    """Build a response from other items' sentences for each item: ``item_id``, ``text``.

    ``responses`` has one row per item: ``item_id``, ``index``, ``answer``, ``text`` and optionally
    ``instruction``, which lists a question's options. Row order does not matter. Each item gets as
    many sentences as its own response has: one that stood first, one that stood last, and the rest
    from between. No sentence is the item's own or reads like one of its own. No sentence ends on
    the item's answer or, if the answer is a phrase, mentions it. The whole response does not end on
    the answer either. A blank response gets one sentence and contributes none. In a style of bare
    answers, items therefore get other items' answers.

    Sentences stay within a block of ten items, in the order in which a sample grows (``how``), so
    adding items leaves every earlier block unchanged. Only places that a block cannot fill are
    drawn from earlier blocks, and from later ones if necessary.

    Raises DataError for a single item, for an item that can receive no other item's sentence, and
    for ``thinking``: sentences of a think block and of its answer are not exchangeable.
    """
    if style == "thinking":
        raise DataError(
            f"benchmark {benchmark!r} has responses of the style 'thinking', which a shuffle of "
            "sentences would take apart: use `irrelevant: derangement`."
        )
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
    """Assign a sentence to each place of the block's items, or −1 if no sentence fits.

    Solves one linear assignment with random costs per role: every sentence of the block goes to one
    place, if possible. Remaining places are drawn from earlier sentences, then from later ones.
    """
    # Not at the top: SciPy takes a second to import, and every Dagster process would wait for it.
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
        _redraw_stated_answer(pool, places, dealt, np.flatnonzero(pool.owner[places] == item), rng)
    return dealt


def _redraw_stated_answer(
    pool: "_Pool", places: _Ints, dealt: _Ints, mine: _Ints, rng: np.random.Generator
) -> None:
    """Redraw an item's sentences while their joined text ends on the item's answer."""
    item = int(pool.owner[places[mine[0]]])
    for attempt in range(_ATTEMPTS):
        if (dealt[mine] < 0).any() or not pool.ends_on_answer(item, dealt[mine]):
            return
        for place in mine[-1:] if attempt < _ATTEMPTS // 2 else mine:
            dealt[place] = _draw(pool, places[place], places[-1] + 1, rng)
    dealt[mine] = -1


def _draw(pool: "_Pool", place: np.int64, seen: int, rng: np.random.Generator) -> int:
    # Prefer a sentence of the place's own role, then any; use later ones only if necessary.
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
    """All sentences of all texts, in order, encoded as numbers: S sentences.

    ``owner`` [S] is the item of a sentence, ``role`` [S] its place in the text, ``wording`` [S] a
    code for each distinct sentence, and ``blank`` [S] whether it is blank.
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
        """Whether a sentence is forbidden for a place's item, [places, given]."""
        items, rows = np.unique(self.owner[places], return_inverse=True)
        barred = np.zeros((len(items), len(given)), dtype=bool)
        for row, item in enumerate(items):
            own = self.wording[self.owner == item]
            barred[row] = np.isin(self.wording[given], own) | self._gives_away(item, given)
        return barred[rows]

    def join(self, dealt: _Ints) -> str:
        """Join the dealt sentences into one text, with a space after each former last sentence."""
        text = ""
        for sentence in self.sentences.gather(dealt):
            gap = " " if text and not text[-1].isspace() else ""
            text += gap + sentence
        return text.rstrip()

    def ends_on_answer(self, item: int, dealt: _Ints) -> bool:
        """Whether the dealt sentences, joined, end on the item's answer."""
        answer = self._answers[item]
        found = final_answer(self.join(dealt), answer, self._questions[item]) if answer else None
        return found is not None and answer_key(found) == answer_key(answer or "")

    def _gives_away(self, item: np.int64, given: _Ints) -> npt.NDArray[np.bool_]:
        """Whether each sentence gives away an item's answer, [given]."""
        answer = self._answers[item]
        if not answer:
            return np.zeros(len(given), dtype=bool)
        gives_away: npt.NDArray[np.bool_] = self._statements(answer)[given] == answer_key(answer)
        if answer_kind(answer) == "phrase":
            named = rf"(?i)(?:^|\W){pl.escape_regex(answer.strip())}(?:$|\W)"
            gives_away |= self.sentences.gather(given).str.contains(named).to_numpy()
        return gives_away

    def _statements(self, answer: str) -> npt.NDArray[np.object_]:
        """The key of the answer that each sentence ends on, of the kind of ``answer``, [S]."""
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
