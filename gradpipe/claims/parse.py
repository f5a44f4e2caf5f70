"""A study's own claims, from text such as ``none > detailed on effective_rank``."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import polars as pl

from gradpipe.claims.contrasts import Claim, Quantity, Segment, Term
from gradpipe.claims.schemas import STUDY_SOURCE
from gradpipe.errors import StudyError, nearest
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.styles import RELEVANCES, STYLES, sorted_styles

CLAIM_GRAMMAR = (
    "<style> [irrelevant|rejected|wrong] > <style> [irrelevant|rejected|wrong] on "
    "[[relative|log] mad of] <statistic> [in early|mid|last [over early|mid|last] layers]"
)
_SEGMENTS = ("early", "mid", "last")
#: The words before a statistic, and those of the claim's statement, for each quantity.
_QUANTITIES: dict[Quantity, tuple[str, str]] = {
    "mean": ("", "curve"),
    "mad": ("mad of ", "MAD of the curve"),
    "relative_mad": ("relative mad of ", "MAD divided by the mean of the curve"),
    "log_mad": ("log mad of ", "MAD of the log curve"),
}


def parse_claim(text: str, statistics: Sequence[str], styles: Sequence[str] = STYLES) -> Claim:
    """Parse a claim written in the form of CLAIM_GRAMMAR.

    It compares geometric means over the layers of mean curves or, with ``mad of``, their MADs; with
    ``relative mad of``, their MADs divided by their means; with ``log mad of``, the MADs of their
    logs. A style stands for its correct responses unless ``irrelevant``, ``rejected`` or ``wrong``
    follows. With ``in early over last layers``, the ratio of the two styles is larger in the early
    layers than in the last ones. Raises StudyError for other text, and for a statistic or style
    that is not in ``statistics`` or ``styles``.
    """
    words = iter([*text.replace(">", " > ").lower().split(), ""])
    reader = _Reader(text, words, next(words), styles)
    larger = reader.curve(1)
    reader.expect(">")
    smaller = reader.curve(-1)
    reader.expect("on")
    quantity = reader.quantity()
    statistic = reader.one_of("statistic", statistics)
    segment, against = reader.segments()
    reader.expect("")
    if (larger.style, larger.relevance) == (smaller.style, smaller.relevance):
        raise StudyError(
            f"The claim {text!r} compares a curve with itself: name two different ones."
        )
    if segment == against:
        raise StudyError(
            f"The claim {text!r} compares {segment} layers with themselves: name two different "
            "segments."
        )
    where = _where(segment, against)
    terms: tuple[Term, ...] = (larger, smaller)
    if against is not None:
        terms = (
            *(replace(term, segment=segment) for term in terms),
            *(
                replace(term, coefficient=-term.coefficient, segment=against)
                for term in (larger, smaller)
            ),
        )
    return Claim(
        claim=_name(larger, smaller, statistic, quantity, where),
        group="study",
        title="The study's own claims",
        statement=_statement(
            (larger, smaller), statistic, quantity, segment=segment, against=against
        ),
        source=STUDY_SOURCE,
        terms=terms,
        statistic=statistic,
        quantity=quantity,
        segment=segment if against is None else "all",
    )


class _Reader:
    """Reads the words of a claim one after the other."""

    def __init__(self, text: str, words: Iterator[str], word: str, styles: Sequence[str]) -> None:
        self.text, self.words, self.word = text, words, word
        self.styles = {style.lower(): style for style in styles}

    def step(self) -> str:
        read, self.word = self.word, next(self.words, "")
        return read

    def expect(self, word: str) -> None:
        if self.word != word:
            expected = repr(word) if word else "its end"
            raise StudyError(
                f"The claim {self.text!r} has {self._current()} instead of {expected}: write "
                f"{CLAIM_GRAMMAR}."
            )
        self.step()

    def one_of(self, kind: str, known: Sequence[str]) -> str:
        if self.word not in known:
            raise StudyError(
                f"The claim {self.text!r} has {self._current()} instead of a {kind}: "
                f"{nearest(self.word, tuple(known))}"
            )
        return self.step()

    def quantity(self) -> Quantity:
        quantities: dict[str, Quantity] = {
            "mad": "mad",
            "relative": "relative_mad",
            "log": "log_mad",
        }
        if self.word not in quantities:
            return "mean"
        quantity = quantities[self.word]
        if self.step() != "mad":
            self.expect("mad")
        self.expect("of")
        return quantity

    def segments(self) -> tuple[Segment, Segment | None]:
        """The layers that the claim is about, and the layers they are compared with."""
        if self.word != "in":
            return "all", None
        self.step()
        segment = cast(Segment, self.one_of("segment", _SEGMENTS))
        against = None
        if self.word == "over":
            self.step()
            against = cast(Segment, self.one_of("segment", _SEGMENTS))
        self.expect("layers")
        return segment, against

    def _current(self) -> str:
        return repr(self.word) if self.word else "nothing"

    def curve(self, coefficient: int) -> Term:
        style = self.styles[self.one_of("style", tuple(self.styles))]
        relevance = self.step() if self.word in RELEVANCES[1:] else RELEVANCES[0]
        return Term(coefficient, style, relevance)


def _curve(term: Term) -> str:
    return term.style if term.relevance == "correct" else f"{term.style} {term.relevance}"


def _where(segment: Segment, against: Segment | None) -> str:
    if segment == "all":
        return ""
    return f" in {segment} layers" if against is None else f" in {segment} over {against} layers"


def _name(larger: Term, smaller: Term, statistic: str, quantity: Quantity, where: str) -> str:
    measure, _ = _QUANTITIES[quantity]
    return f"{_curve(larger)} > {_curve(smaller)} on {measure}{statistic}{where}"


def _statement(
    curves: tuple[Term, Term],
    statistic: str,
    quantity: Quantity,
    *,
    segment: Segment,
    against: Segment | None,
) -> str:
    _, measure = _QUANTITIES[quantity]
    larger, smaller = (f"{term.relevance} responses of style {term.style}" for term in curves)
    if against is not None:
        return (
            f"The ratio of the {measure} of {statistic} for {larger} to that for {smaller} is "
            f"higher in the {segment} layers than in the {against} ones."
        )
    where = "" if segment == "all" else f" in the {segment} layers"
    return f"The {measure} of {statistic} is higher for {larger} than for {smaller}{where}."


def parsed_claims(claims: Sequence[Claim | str], tables: Sequence[pl.LazyFrame]) -> list[Claim]:
    """Parse the claims that are text, for the statistics and styles that ``tables`` have."""
    if not any(isinstance(claim, str) for claim in claims):
        return [claim for claim in claims if isinstance(claim, Claim)]
    columns = {name for table in tables for name in table.collect_schema().names()}
    known = [name for name in REDUCTIONS if name in columns]
    styles = sorted_styles({*STYLES, *(style for table in tables for style in _styles_of(table))})
    return [
        parse_claim(claim, known, styles) if isinstance(claim, str) else claim for claim in claims
    ]


def _styles_of(table: pl.LazyFrame) -> list[str]:
    if "style" not in table.collect_schema().names():
        return []
    styles = table.select(pl.col("style").drop_nulls().unique().cast(pl.String))
    return styles.collect()["style"].to_list()
