"""Another answer of the same form: a plausible wrong answer to a question, for each kind of answer.

It depends on the question, the gold answer and a seed only, so all responses to one item can end in
the same wrong answer.
"""

import re
from decimal import Decimal

import numpy as np

from gradpipe.responses.final_answer.compare import answer_key
from gradpipe.responses.final_answer.kinds import answer_kind
from gradpipe.responses.final_answer.options import listed_options
from gradpipe.system.hashing import content_hash

_OPPOSITES = {
    **{
        "yes": "no",
        "no": "yes",
        "true": "false",
        "false": "true",
        "是": "否",
        "否": "是",
        "对": "错",
    },
    **{"错": "对", "正确": "错误", "错误": "正确", "はい": "いいえ", "いいえ": "はい"},
}
_LETTERS = "ABCDE"
#: A number that is off by these shares of itself is as plausible as the right one.
_SHARES = (0.05, 0.1, 0.2, 0.3)
#: The most whole steps that a small number is off by.
_STEPS = 5
#: Numbers that can be written again with other digits: ``-3.50``, ``1,200``, ``14{,}000``.
_NUMBERS = re.compile(
    r"-?(?:\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+(?!\d)|\d+)(?:\.\d+)?|-?\.\d+", re.ASCII
)


def other_answer(gold: str, question: str, seed: int) -> str | None:
    """Return a wrong answer of the form of ``gold``; None where there is no other.

    Yes becomes no; an option, a label or an option's text becomes another one of the question. The
    last number of a number or formula becomes another one of the same sign and decimals, off by up
    to 30 % or by 1 to 5. A formula without a number, and a phrase that is not one of the question's
    options, have no other answer.
    """
    generator = np.random.default_rng(int(content_hash(seed, question, gold), 16))
    kind, bare = answer_kind(gold), gold.strip()
    if kind == "yes_no":
        opposite = _OPPOSITES.get(bare.rstrip(".。").casefold())
        return None if opposite is None else _in_case(opposite, bare)
    if kind == "option":
        mine = [found[0] for found in re.finditer(r"[A-Z](?![a-z])|\b[a-j]\b", bare)]
        letters = [name for name, _ in listed_options(question) if name] or list(_LETTERS)
        others = [name for name in letters if name not in [letter.upper() for letter in mine]]
        other = _choice(others, generator)
        # Of several letters, the last one becomes another.
        return None if other is None else _in_case(other, mine[-1]).join(bare.rsplit(mine[-1], 1))
    if kind == "label":
        word, letter = bare.split()
        labels = set(re.findall(rf"\b{word} ([A-J])\b", question)) | {"A", "B"}
        return f"{word} {_choice(sorted(labels - {letter}), generator)}"
    if kind == "phrase":
        texts = [text for _, text in listed_options(question)]
        same = [text for text in texts if answer_key(text) == answer_key(bare)]
        return _choice([text for text in texts if text not in same], generator) if same else None
    found = list(_NUMBERS.finditer(bare))
    if not found:
        return None
    last = found[-1]
    return bare[: last.start()] + other_number(last[0], generator) + bare[last.end() :]


def other_number(text: str, generator: np.random.Generator) -> str:
    """Return another number with the sign, the decimals and the separators of ``text``."""
    separator = next((mark for mark in ("{,}", "\\,", ",") if mark in text), "")
    number = Decimal(text.replace(separator, "") if separator else text)
    unit = Decimal(1).scaleb(min(int(number.as_tuple().exponent), 0))
    size = abs(number) / unit
    steps = {round(size * Decimal(share)) for share in _SHARES} | set(range(1, _STEPS + 1))
    # Small numbers are counts, and an answer a hundred times as large is not plausible.
    furthest = max(Decimal(_STEPS), size * Decimal("0.3"))
    moves = sorted(step for step in steps if 0 < step <= furthest)
    others = [size + sign * step for step in moves for sign in (1, -1)]
    chosen = others[int(generator.integers(len(others)))]
    if chosen <= 0:
        chosen = size + abs(chosen - size)
    magnitude = chosen * unit
    written = f"{magnitude:,.{max(0, -int(unit.as_tuple().exponent))}f}"
    sign = "-" if number < 0 or text.startswith("-") else ""
    return sign + written.replace(",", separator)


def _choice(names: list[str], generator: np.random.Generator) -> str | None:
    return names[int(generator.integers(len(names)))] if names else None


def _in_case(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    if len(like) == 1:
        return word.casefold()
    return word.capitalize() if like[0].isupper() else word
