"""Clean up source texts: calculator marks, answer lines, escapes and lengths."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Literal

import polars as pl

#: GSM8K writes each calculation twice, once for a calculator: ``48/2 = <<48/2=24>>24``.
_CALCULATOR_MARK = r"<<[^<>]*>>"
#: GSM8K's last line: four number signs, then the answer.
_ANSWER_LINE = r"(?s)^(.*)####(.*)$"
_PIECE = re.compile(r"\w+|[^\w\s]")
#: A line break, or a stop with any closing marks, before anything but a lowercase letter.
_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s+[^\sa-z])|(?=\n)")
#: A stop after one of these, or after a single capital letter, does not end a sentence.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|vs|No|Inc|Ltd|Co|Gen|Col|Sgt|Prof|Rev|"
    r"c|ca|cf|lit|approx|e\.g|i\.e|U\.S|U\.K)\.$"
)

#: Tokens per word or punctuation mark. Cut with this value, the paper's longest Wikipedia texts
#: have on average as many words as its own texts of "100" and "500" tokens: 73 and 316.
TOKENS_PER_PIECE = 1.33

#: What FLAN and the release write between a rationale and its answer.
FINAL_ANSWER = "\nThe final answer is "


def without_calculator_marks(text: pl.Expr) -> pl.Expr:
    """Remove ``<<...>>`` from the text; the text around the marks is unchanged."""
    return text.str.replace_all(_CALCULATOR_MARK, "")


def before_answer_line(text: pl.Expr) -> pl.Expr:
    """The text before the last ``####``, stripped; null if there is no ``####``."""
    return text.str.extract(_ANSWER_LINE, 1).str.strip_chars()


def after_answer_line(text: pl.Expr) -> pl.Expr:
    """The answer after the last ``####``, without thousands separators; null if missing.

    FLAN, and therefore the paper's release, also writes ``22,500`` as ``22500``.
    """
    answer = text.str.extract(_ANSWER_LINE, 2).str.strip_chars()
    return answer.str.replace_all(r",(\d{3})", "${1}")


def last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{...}`` whose braces balance, or None."""
    opening = "\\boxed{"
    start = text.rfind(opening)
    while start >= 0:
        depth = 1
        begin = start + len(opening)
        for position in range(begin, len(text)):
            # An escaped brace, as in set notation, is text and does not count.
            if text[position - 1] != "\\":
                depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return text[begin:position]
        start = text.rfind(opening, 0, start)
    return None


def lettered(options: pl.Expr) -> pl.Expr:
    """Write AQuA's options (``A)21``) as lines in FLAN's form (``(A) 21``), keeping spaces."""
    option = pl.element().str.replace(r"^\s*([A-Z])\s*\)", "(${1}) ")
    return options.list.eval(option).list.join("\n")


def with_line_breaks(text: pl.Expr, how: Literal["source", "real", "escaped"]) -> pl.Expr:
    r"""Write the line breaks of a text as requested; ``source`` leaves it unchanged.

    ``real`` turns every literal ``\n`` into a line break and strips the text, since Sensemaking's
    questions end with one. ``escaped`` writes every line break as a literal ``\n``.
    """
    if how == "real":
        return text.str.replace_all("\\n", "\n", literal=True).str.strip_chars()
    if how == "escaped":
        return text.str.replace_all("\n", "\\n", literal=True)
    return text


def estimated_tokens(text: str) -> float:
    """Estimate the number of tokens of a text from its words and punctuation marks.

    The estimate needs no tokenizer, so a text is cut at the same place for every model.
    """
    return TOKENS_PER_PIECE * sum(1 for _ in _PIECE.finditer(text))


def cut_at_sentence(text: str, tokens: int) -> str:
    """Cut a text at the first sentence end at or after ``tokens`` (estimated).

    A shorter text is returned whole. Line breaks also end sentences.
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
    """Apply ``cut_at_sentence`` to every row."""
    return text.map_elements(partial(cut_at_sentence, tokens=tokens), return_dtype=pl.String)


def _sentence_ends(text: str) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if end and not _ABBREVIATION.search(text, max(0, end - 12), end):
            yield end
