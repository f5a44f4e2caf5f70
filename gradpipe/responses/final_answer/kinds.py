"""The kind of answer that a gold answer is: it decides which reader looks for the answer."""

import re
from functools import lru_cache
from typing import Literal

from gradpipe.responses.final_answer.numbers import NUMBER, UNITS, value
from gradpipe.responses.final_answer.readable import readable

Kind = Literal["yes_no", "option", "label", "number", "formula", "phrase"]

_LETTER = r"(?:\([A-Z]\)|[A-J][.)]?)"
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "yes_no",
        re.compile(
            r"(?i)(?:yes|no|true|false|不?是|是的|否|不?[对對]|[对對]的|错误?|錯誤?|不?正[确確]|はい"
            r"|いいえ|正しい|正しくない|間違い|誤り|예|네|아니[요오]|맞습니다|그렇습니다|틀렸습니다|참|거짓)[.。]?"
        ),
    ),
    (
        "option",
        re.compile(
            rf"\([a-j]\)|{_LETTER}|{_LETTER}(?:\s*(?:,|;|/|&|and|、|和)\s*(?:and\s+)?{_LETTER})+"
            r"|(?=[A-F]{2,6}$)A?B?C?D?E?F?"
        ),
    ),
    ("label", re.compile(r"[A-Z][a-z]+ [A-J]")),
    (
        "number",
        re.compile(
            # "1,2" is a list of two; money and units tell a decimal comma.
            rf"(?!-?\d+,\d{{1,2}}$)(?:[$€£¥]?\s*(?:{NUMBER})"
            rf"|-?(?:\d+ )?\d+/\d+)\s?%?(?:\s?(?:{UNITS}))?"
            rf"|(?:{NUMBER}) [a-z]+,? (?:and )?(?:{NUMBER}) (?:minutes?|mins?|seconds?|inches|cents"
            r"|ounces|months?|days?|hours?)"
        ),
    ),
    # Numbers with "and" or "or" between them.
    (
        "formula",
        re.compile(r"-?[\d./]+(?:(?:,\s*(?:(?:and|or)\s+)?|\s+(?:and|or)\s+)-?[\d./]+)+"),
    ),
    # A name with a number in it, as "Apollo 11".
    ("phrase", re.compile(r"(?=[^\\$^_=<>{}+*]*$)(?:.*\s)?[A-Z]?[a-z]{3,}[A-Za-z'-]*(?:\s.*)?")),
    ("formula", re.compile(r"(?s).*[\\$^_=<>{}()\[\]+*/\d].*|-?[a-z]")),
)


@lru_cache(maxsize=4096)
def bare_gold(gold: str) -> str:
    """A gold answer without dollar signs or a ``\\text{}`` around all of it."""
    text = readable(gold.strip())
    text = re.sub(r"^\$([^$\d][^$]*|[^$]*[^$\d.,][^$]*|-?[\d.,]+)\$$", r"\1", text).strip()
    text = re.sub(r"^\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}$", r"\1", text).strip()
    # "0.56 = 56%" is one number in two forms.
    first, _, second = text.partition("=")
    number, share = value(first), value(second)
    same = number is not None and share is not None and number in (share, share / 100)
    return second.strip() if same else text


def is_list(gold: str) -> bool:
    """Whether a gold answer has several members; a comma may also separate thousands."""
    return bool(re.search(r",(?!\\?!?\d{3}(?!\d))|\b(?:and|or)\b", gold))


@lru_cache(maxsize=4096)
def answer_kind(gold: str) -> Kind:
    """The kind of answer that ``gold`` is."""
    text = bare_gold(gold)
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(text)), "phrase")
