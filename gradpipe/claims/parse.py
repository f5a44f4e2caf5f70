"""A user's own claims, as a study states them: ``none > detailed on effective_rank``."""

from collections.abc import Iterator, Sequence
from typing import cast

from gradpipe.claims.contrasts import Claim, Quantity, Segment, Term
from gradpipe.claims.schemas import OWN
from gradpipe.errors import StudyError, nearest
from gradpipe.styles import STYLES

GRAMMAR = (
    "<style> [irrelevant] > <style> [irrelevant] on [mad of] <statistic> [in early|mid|last layers]"
)
_SEGMENTS = ("early", "mid", "last")


def parse_claim(text: str, statistics: Sequence[str]) -> Claim:
    """A claim from its words; GRAMMAR says which.

    It is about the mean curve's geometric mean over layers or, with ``mad of``, its MAD; a style is
    that of correct responses unless ``irrelevant`` follows. Raises StudyError for anything else,
    and for a statistic that is not among ``statistics``.
    """
    words = iter([*text.replace(">", " > ").lower().split(), ""])
    reader = _Reader(text, words, next(words))
    larger = reader.curve(1)
    reader.expect(">")
    smaller = reader.curve(-1)
    reader.expect("on")
    quantity: Quantity = "mean"
    if reader.word == "mad":
        reader.step()
        reader.expect("of")
        quantity = "mad"
    statistic = reader.one_of("statistic", statistics)
    segment = "all"
    if reader.word == "in":
        reader.step()
        segment = reader.one_of("segment", _SEGMENTS)
        reader.expect("layers")
    reader.expect("")
    if (larger.style, larger.relevance) == (smaller.style, smaller.relevance):
        raise StudyError(
            f"The claim {text!r} sets a curve against itself: name two different ones."
        )
    name = _words(larger, smaller, statistic, quantity, segment)
    return Claim(
        claim=name,
        group="study",
        title="The study's own claims",
        statement=_statement(larger, smaller, statistic, quantity, segment),
        source=OWN,
        terms=(larger, smaller),
        statistic=statistic,
        quantity=quantity,
        segment=cast(Segment, segment),
    )


class _Reader:
    """The words of a claim, one after the other."""

    def __init__(self, text: str, words: Iterator[str], word: str) -> None:
        self.text, self.words, self.word = text, words, word

    def step(self) -> str:
        read, self.word = self.word, next(self.words, "")
        return read

    def expect(self, word: str) -> None:
        if self.word != word:
            found = repr(self.word) if self.word else "its end"
            raise StudyError(
                f"The claim {self.text!r} has {found} where {repr(word) if word else 'its end'} "
                f"should stand: write {GRAMMAR}."
            )
        self.step()

    def one_of(self, kind: str, known: Sequence[str]) -> str:
        if self.word not in known:
            found = repr(self.word) if self.word else "an end"
            raise StudyError(
                f"The claim {self.text!r} has {found} where a {kind} should stand: "
                f"{nearest(self.word, tuple(known))}"
            )
        return self.step()

    def curve(self, coefficient: int) -> Term:
        style = self.one_of("style", STYLES)
        irrelevant = self.word == "irrelevant"
        if irrelevant:
            self.step()
        return Term(coefficient, style, "irrelevant" if irrelevant else "correct")


def _curve(term: Term) -> str:
    return f"{term.style} irrelevant" if term.relevance == "irrelevant" else term.style


def _words(larger: Term, smaller: Term, statistic: str, quantity: str, segment: str) -> str:
    mad = "mad of " if quantity == "mad" else ""
    where = "" if segment == "all" else f" in {segment} layers"
    return f"{_curve(larger)} > {_curve(smaller)} on {mad}{statistic}{where}"


def _statement(larger: Term, smaller: Term, statistic: str, quantity: str, segment: str) -> str:
    measure = "MAD of the curve" if quantity == "mad" else "curve"
    where = "" if segment == "all" else f" in the {segment} layers"
    curves = [f"{term.relevance} responses of style {term.style}" for term in (larger, smaller)]
    return f"The {measure} of {statistic} is higher for {curves[0]} than for {curves[1]}{where}."
