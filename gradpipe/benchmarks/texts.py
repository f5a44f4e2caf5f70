"""What the sources write into their texts, taken out or turned round: marks, escapes, lengths."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Literal

import polars as pl

#: GSM8K writes each calculation twice, the second time for a calculator: ``48/2 = <<48/2=24>>24``.
_CALCULATOR_MARK = r"<<[^<>]*>>"
#: GSM8K's last line: four hashes, then the answer.
_ANSWER_LINE = r"(?s)^(.*)####(.*)$"
_PIECE = re.compile(r"\w+|[^\w\s]")
#: A line break, or a stop with what closes after it, before anything but a small letter.
_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s+[^\sa-z])|(?=\n)")
#: A stop after one of these, or after a single capital letter, ends no sentence.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|vs|No|Inc|Ltd|Co|Gen|Col|Sgt|Prof|Rev|"
    r"c|ca|cf|lit|approx|e\.g|i\.e|U\.S|U\.K)\.$"
)

#: Tokens for each word or punctuation mark: cut with this, the paper's longest Wikipedia texts have
#: as many words on average as its own texts of "100" and "500" tokens, 73 and 316.
TOKENS_PER_PIECE = 1.33


def without_calculator_marks(text: pl.Expr) -> pl.Expr:
    """The text without ``<<...>>``; what stands around the marks stays as it is."""
    return text.str.replace_all(_CALCULATOR_MARK, "")


def before_answer_line(text: pl.Expr) -> pl.Expr:
    """What stands before the last ``####``, stripped; null where there is none."""
    return text.str.extract(_ANSWER_LINE, 1).str.strip_chars()


def after_answer_line(text: pl.Expr) -> pl.Expr:
    """The answer behind the last ``####``, without thousands' commas; null where there is none.

    FLAN, and with it the paper's release, writes ``22,500`` as ``22500`` too.
    """
    answer = text.str.extract(_ANSWER_LINE, 2).str.strip_chars()
    return answer.str.replace_all(r",(\d{3})", "${1}")


def lettered(options: pl.Expr) -> pl.Expr:
    """AQuA's list of options (``A)21``) as lines in FLAN's form (``(A) 21``), spaces kept."""
    option = pl.element().str.replace(r"^\s*([A-Z])\s*\)", "(${1}) ")
    return options.list.eval(option).list.join("\n")


def with_line_breaks(text: pl.Expr, how: Literal["source", "real", "escaped"]) -> pl.Expr:
    r"""The text with its line breaks written as asked; ``source`` leaves it alone.

    ``real`` turns every literal ``\n`` into a line break and strips the text, since Sensemaking's
    questions end with one. ``escaped`` writes every line break as a literal ``\n``.
    """
    if how == "real":
        return text.str.replace_all("\\n", "\n", literal=True).str.strip_chars()
    if how == "escaped":
        return text.str.replace_all("\n", "\\n", literal=True)
    return text


def estimated_tokens(text: str) -> float:
    """About how many tokens a text has, from its words and punctuation marks alone.

    The estimate needs no tokenizer, so a text is cut at one place whatever model reads it.
    """
    return TOKENS_PER_PIECE * sum(1 for _ in _PIECE.finditer(text))


def cut_at_sentence(text: str, tokens: int) -> str:
    """The text up to the first sentence end at or after ``tokens`` (estimated); all if shorter.

    Line breaks end sentences too.
    """
    text = text.strip()
    wanted = tokens / TOKENS_PER_PIECE
    pieces, start = 0, 0
    for end in _sentence_ends(text):
        pieces += sum(1 for _ in _PIECE.finditer(text, start, end))
        if pieces >= wanted:
            return text[:end].rstrip()
        start = end
    return text


def cut_column(text: pl.Expr, tokens: int) -> pl.Expr:
    """``cut_at_sentence`` of every row."""
    return text.map_elements(partial(cut_at_sentence, tokens=tokens), return_dtype=pl.String)


def _sentence_ends(text: str) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if end and not _ABBREVIATION.search(text, max(0, end - 12), end):
            yield end
