"""Numbers as people write them: separators of any kind, fractions, powers of ten, percents, words.

``NUMBER`` is a pattern of one number; ``numbers`` finds them; ``value`` computes one.
"""

import re
from fractions import Fraction
from functools import lru_cache

_THIN = "[\u00a0\u2009\u202f\u2007]"
#: Each way to separate thousands, with the decimal marks that may follow it.
_GROUPED = "|".join(
    rf"\d{{1,3}}(?:{mark}\d{{3}})+(?!\d)(?:{decimal}\d+)?"
    for mark, decimal in (
        (",", r"\."),
        (r",\\!", r"\."),
        (r"\{,\}", r"\."),
        (r"\\[,! ]", "[.,]"),
        (r"\{\\,\}", "[.,]"),
        ("~", r"\."),
        ("['_]", r"\."),
        (_THIN, "[.,]"),
        (" ", "[.,]"),
    )
)
_PLAIN = (
    # 1.200,50 and 1.234.567, then 1,00,000, then the others, then a decimal comma.
    r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}(?![\d.]\d|\d)|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)"
    rf"|{_GROUPED}|(?<![(\[{{,])\d+,(?:\d{{1,2}}|\d{{4,}})(?![\d]|,\d)"
    r"|\d+(?:\.\d+)?"
)
_POWER = (
    r"(?:\s?(?:\\times|\\cdot|\btimes\b|[×x*·⋅])\s?10\s?(?:\^\s?(?:\{\s?[-+]?\d+\s?\}|\([-+]?\d+\)"
    r"|[-+]?\d+)|\*\*\(?-?\d+\)?|<sup>-?\d+</sup>|\bto the (?:power (?:of )?)?-?\d+(?:th\b)?"
    r"|⁻?[⁰¹²³⁴-⁹]+)|[eE][-+]?\d+(?!\d|\.\d))"
)
_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_VULGAR = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5),
    "⅗": (3, 5), "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8),
    "⅞": (7, 8),
}  # fmt: skip
_SIGNS = "".join(_VULGAR)
_MINUS = r"-(?:\\?[$€£¥₹])?"
#: A pattern of a number without fractions: ``-3.50``, ``1,200``, ``14{,}000``, ``1.5 × 10^3``.
NUMBER = rf"(?:{_MINUS})?(?:(?:{_PLAIN}){_POWER}?|\.\d+)"
_OVER = rf"\\[dtc]?frac\s*(?:\{{\s*-?(?:{_PLAIN})\s*\}}|\d)\s*(?:\{{\s*-?(?:{_PLAIN})\s*\}}|\d)"
_SLASH = r"\d+(?:,\d{3})*(?:\s?/\s?|\sover\s(?=\d+\W*$))\d+(?:,\d{3})*(?![\d]|/\d)"
_FRACTION = (
    rf"-\(\d+\s?/\s?\d+\)|(?:{_MINUS})?(?:\d+\s?(?:{_OVER})|{_OVER}"
    rf"|\d+\s(?:wholes? )?(?:and )?\d+/\d+(?!/?\d)|{_SLASH}"
    rf"|(?:\d+\s?)?[{_SIGNS}])"
)
_ANY = re.compile(rf"(?<![A-Za-z.^\d])(?<![A-Za-z\d)}}]_)(?<!\^\{{)(?:{_FRACTION}|{NUMBER})")
_DIGIT = re.compile(rf"[\d{_SIGNS}]")
_TIMES = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
    "trillion": 10**12, "dozen": 12, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8,
    "千": 10**3, "百": 100,
}  # fmt: skip
_MULTIPLE = re.compile(
    r"(?i)(?:\s|\\ |~|-|\\text\{\s*)?(hundred|thousand|million|billion|trillion|dozen)(?!\w"
    r"|-?ths?\b)"
    r"|\s?([万萬亿億千百])|(?-i:([kM]))(?!\w)"
)
_PERCENT = re.compile(r"(?i)\s?\\?%|\s?per ?cent\b(?!age)")
#: What may stand behind the number of an answer: a unit, in at most four words.
UNITS = r"(?:[a-zµ°²³/][a-z°²³/]+\.?|km|[ckmM][WVJAgml]|°[CFK]?|(?<= )[mglsh])(?:[ /][a-z²³]+){0,3}"
_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORD_VALUES = (
    {word: number for number, word in enumerate(_WORDS)}
    | {word: 10 * number for number, word in enumerate(_TENS, 2)}
    | {"a": 1}
)
_ONE_WORD = rf"(?:{'|'.join([*_TENS, *_WORDS[::-1]])})"
_IN_WORDS = re.compile(
    rf"(?i)\b(?:{_ONE_WORD}(?:-{_ONE_WORD})?|a (?:hundred|thousand|million|dozen))"
    rf"(?:[ -](?:and |{_ONE_WORD}|hundred|thousand|million|dozen)+(?:-{_ONE_WORD})?)*\b(?!-)"
)
_SIGN_IN_WORDS = re.compile(r"(?i)\b(?:minus|negative)\s$")
_SUBTRACTS = re.compile(rf"(?i)(?:\b{_ONE_WORD}|[\d)}}])\sminus\s$")
_DIVISORS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "eighth": 8, "tenth": 10, "seventh": 7, "ninth": 9, "twelfth": 12, "sixteenth": 16,
    "twentieth": 20, "hundredth": 100,
}  # fmt: skip
_PARTS = re.compile(
    rf"(?i)\b(?:(?P<whole>{_ONE_WORD}) and )?"
    rf"(?:(?P<count>an?|{_ONE_WORD})[ -](?={'|'.join(_DIVISORS)}))?"
    rf"(?P<part>(?<=\w[ -])(?:{'|'.join(list(_DIVISORS)[1:])})|half)s?\b"
    r"(?(count)(?! (?:of (?!the|a|an|it|them|all|his|her|its|their)|place|grade|person)\w*)"
    r"|(?! (?!of (?:the|a|an|it|them|all|his|her|its|their)\b)\w))"
)
_OVER_IN_WORDS = re.compile(rf"(?i)\b({_ONE_WORD}) over ({_ONE_WORD})\b")
_NAMED_PARTS = re.compile(rf"(?i)[ -]({'|'.join(_DIVISORS)})s\b")
_CHINESE = {sign: number for number, sign in enumerate("零一二三四五六七八九")} | {
    "两": 2,
    "\u3007": 0,
}
_IN_CHINESE = re.compile(r"[零〇一二两三四五六七八九十百千万]+")


def numbers(text: str) -> list[str]:
    """Find the numbers and simple fractions in ``text``, as written."""
    return [found[0] for found in number_matches(text)]


def number_matches(text: str) -> list[re.Match[str]]:
    """The matches of ``numbers``."""
    return list(_ANY.finditer(text)) if _DIGIT.search(text) else []


def with_multiple(number: str, behind: str) -> str:
    """``number`` with the percent sign or the "million" that ``behind`` begins with."""
    if percent := _PERCENT.match(behind):
        return f"{number}%" if percent else number
    parts = _NAMED_PARTS.match(behind) if number.isdecimal() else None
    if parts:
        return f"{number}/{_DIVISORS[parts[1].casefold()]}"
    if many := _MULTIPLE.match(behind):
        name = many[1] or many[2] or {"k": "thousand", "M": "million"}[many[3]]
        return f"{number} {name.casefold()}"
    return number


@lru_cache(maxsize=4096)
def value(text: str) -> Fraction | None:
    """The number that ``text`` states; None if it is not a number.

    Money and percentages are read by their digits.
    """
    bare = re.sub(r"[$€£₹¥]|\\\$|\\?%", "", text.strip().rstrip(".")).strip()
    bare = re.sub(r"^(-)\s+", r"\1", bare)
    many = re.search(r"\s(\w+)$|(?<=\d)([万萬亿億千百])$", bare)
    if many and (name := (many[1] or many[2]).casefold()) in _TIMES:
        times = value(bare[: many.start()])
        return None if times is None else times * _TIMES[name]
    if not bare or len(bare) > 60 or not re.fullmatch(rf"[+]?(?:{_FRACTION}|{NUMBER}|\d+\.)", bare):
        return None
    try:
        return _computed(bare.lstrip("+"))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def _computed(bare: str) -> Fraction | None:
    sign = -1 if bare.startswith("-") else 1
    bare = bare.lstrip("-").strip("()")
    if over := re.search(r"\\[dtc]?frac\s*(\{[^{}]*\}|\d)\s*(\{[^{}]*\}|\d)$", bare):
        top, below = (_computed(part.strip("{} ")) for part in over.groups())
        whole = Fraction(bare[: over.start()].strip() or 0)
        return None if top is None or not below else sign * (whole + top / below)
    if bare[-1] in _VULGAR:
        return sign * (Fraction(bare[:-1] or 0) + Fraction(*_VULGAR[bare[-1]]))
    if ("/" in bare and "<" not in bare) or " over " in bare:
        bare = re.sub(r",|wholes? |and ", "", bare)
        left, right = re.split(r"/| over ", bare)
        *units, part = left.split() if re.search(r"\d\s+\d", left) else [left]
        return sign * (Fraction(int("".join(units) or 0)) + Fraction(int(part), int(right)))
    power = re.search(rf"{_POWER}$", bare)
    exponent = 0
    if power:
        begin = r"^.*?10(?!\d)" if re.search(r"[×x*·⋅\\]|times", power[0]) else "^[eE]"
        digits = re.sub(rf"{begin}|</?sup>|[a-z^*(){{}}\s]", "", power[0])
        exponent, bare = int(digits.translate(_SUPERSCRIPTS)), bare[: power.start()]
        if abs(exponent) > 60:
            return None
    return sign * Fraction(_plain_digits(bare)) * Fraction(10) ** exponent


def _plain_digits(text: str) -> str:
    """Digits with at most one decimal point."""
    text = re.sub(rf"{_THIN}|[ '_~]|,\\!|\\[,! ]|\{{\\?,\}}", ",", text)
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}", text):
        text = text.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,2}(?:,\d{2})+,\d{3}", text):
        text = text.replace(",", "")
    elif re.fullmatch(r"\d{1,3}(?:,\d{3})+,\d+", text):
        head, _, tail = text.rpartition(",")
        text = f"{head.replace(',', '')}.{tail}"
    return text.replace(",", ".") if text.count(",") == 1 else text


def spelled_number(text: str) -> tuple[str, int | Fraction] | None:
    """The last spelled number in ``text``, as written and its value; None if it has no such."""
    if parts := list(_PARTS.finditer(text)):
        last = parts[-1]
        count = _spelled(last["count"] or "one") or 1
        whole = _spelled(last["whole"] or "zero") or 0
        sign = -1 if re.search(r"(?i)\b(?:minus|negative)\s$", text[: last.start()]) else 1
        return last[0], sign * (whole + Fraction(count, _DIVISORS[last["part"].casefold()]))
    if over := _OVER_IN_WORDS.search(text):
        top, below = (_spelled(word) or 0 for word in over.groups())
        return over[0], Fraction(top, max(below, 1))
    for found in reversed(list(_IN_WORDS.finditer(text))):
        # "One of the two" counts nothing.
        before = text[: found.start()]
        article = re.search(r"(?i)\b(?:the|these|those|of|no|any)\s$", before)
        if article or (found[0].casefold() == "one" and text[found.end() :].strip(" .*")):
            continue
        if (number := _spelled(found[0])) is not None:
            # "Ten minus four" subtracts.
            minus = None if _SUBTRACTS.search(before) else _SIGN_IN_WORDS.search(before)
            return (minus[0] + found[0], -number) if minus else (found[0], number)
    if share := re.search(
        r"([零〇一二两三四五六七八九十百\d]+)分之([零〇一二两三四五六七八九十百\d]+)", text
    ):
        below, top = (
            int(part) if part.isdecimal() else _spelled_in_chinese(part) or 1
            for part in share.groups()
        )
        return share[0], Fraction(top, max(below, 1))
    for found in reversed(list(_IN_CHINESE.finditer(text))):
        if (number := _spelled_in_chinese(found[0])) is not None:
            return found[0], number
    return None


def _spelled(words: str) -> int | None:
    total, group = 0, 0
    for word in re.findall(r"[a-z]+", words.casefold()):
        if word in _WORD_VALUES:
            group += _WORD_VALUES[word]
        elif word in ("hundred", "dozen"):
            group = max(group, 1) * _TIMES[word]
        elif word in _TIMES:
            total, group = total + max(group, 1) * _TIMES[word], 0
        elif word != "and":
            return None
    return total + group


def _spelled_in_chinese(signs: str) -> int | None:
    total, digit = 0, 0
    for sign in signs:
        if sign in _CHINESE:
            digit = _CHINESE[sign]
        elif sign == "万":
            total, digit = (total + digit) * 10**4, 0
        else:
            total += max(digit, 1) * {"十": 10, "百": 100, "千": 1000}[sign]
            digit = 0
    return total + digit
