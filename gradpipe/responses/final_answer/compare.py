"""Decide whether two answers are the same, however they are written."""

import re
from fractions import Fraction

from gradpipe.responses.final_answer.kinds import answer_kind, bare_gold, is_list
from gradpipe.responses.final_answer.mathematics import equal_formulas
from gradpipe.responses.final_answer.numbers import UNITS, number_matches, value
from gradpipe.responses.final_answer.readable import readable
from gradpipe.responses.final_answer.two_units import in_two_units
from gradpipe.responses.final_answer.units import unit_at_start, unit_name, unit_ratio

_MARKUP = re.compile(
    r"\*\*|__|</?[bi]>|\\[()\[\]]|\$|\\(?:text|textbf|mathrm|mbox|mathbf)\b|\\[,;!: ]|\\left"
    r"|\\right"
    r"|\^\\circ|\^\{\\circ\}|\\displaystyle|\\%"
)
_IN_ENGLISH = {
    **dict.fromkeys(("是", "是的", "对", "对的", "對", "對的", "正确", "正確", "はい"), "yes"),
    **dict.fromkeys(("正しい",), "yes"),
    **dict.fromkeys(("否", "不是", "不对", "不對", "错", "错误", "錯", "錯誤", "不正确"), "no"),
    **dict.fromkeys(("예", "네", "맞습니다", "그렇습니다", "참"), "yes"),
    **dict.fromkeys(("아니요", "아니오", "틀렸습니다", "그렇지 않습니다", "거짓"), "no"),
    **dict.fromkeys(("不正確", "いいえ", "正しくない", "間違い", "誤り"), "no"),
}
_WITH_NUMERAL = re.compile(
    r"(?:quadrant|type|class|phase|stage|part|chapter|section|volume|group|level|case|statement"
    r"|category|region|figure|grade|act|book) ((?=[ivx])x{0,3}(?:ix|iv|v?i{0,3}))"
)
#: Decimals that a rounded fraction needs to count as that fraction: two thirds are 0.667.
_ROUNDED_DIGITS = 3


def same_answer(found: str, gold: str) -> bool:
    """Whether ``found`` equals the answer ``gold``, however it is written.

    Numbers and formulas are compared mathematically; a fraction may be rounded to three digits or
    more. Everything else is compared without case, spacing, markup and articles.
    """
    found, gold = readable(found), bare_gold(gold)
    kind = answer_kind(gold)
    if kind == "number" or (kind == "formula" and not is_list(gold)):
        alike = _same_number(found, gold)
        if alike is not None:
            return alike
    mine, theirs = answer_key(found), answer_key(gold)
    if mine == theirs or _numeral(mine) == theirs or mine == _numeral(theirs):
        return True
    return kind in ("number", "formula") and equal_formulas(found, gold)


def answer_key(answer: str) -> str:
    """A key that is the same for answers that are obviously equal: ``$1,200.00``, ``1200``."""
    text = without_markup(readable(answer))
    number = value(text)
    if number is not None:
        return str(number)
    if letters := re.fullmatch(r"\(?[A-Za-z]\)?(?:\W+(?:and\W+)?\(?[A-Z]\)?)+|[A-F]{2,}", text):
        names = re.findall(r"(?<![a-z])[A-Z]", letters[0])
        if "".join(sorted(set(names))) == "".join(names) or len(letters[0]) > len(names):
            return ",".join(sorted(set(names))).casefold()
    text = re.sub(r"\b0?(\d{1,2}:\d\d)(?:\s*([apAP])\.?[mM]\.?)?", r"\1\2", text)
    text = re.sub(r"^\(?(\w)[).]*$", r"\1", text.casefold())
    text = _IN_ENGLISH.get(text.rstrip("。"), text)
    return re.sub(r"^(?:the|an?) (?=\w\w)", "", text)


def _numeral(key: str) -> str | None:
    """The Roman numeral of "quadrant ii"; None for other answers."""
    named = _WITH_NUMERAL.fullmatch(key)
    return named[1] if named else None


def without_markup(text: str) -> str:
    """``text`` without markup, quotes, outer punctuation and repeated spaces."""
    bare = _MARKUP.sub("", text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac"))
    unquoted = re.sub(r"[\"'“”’`{}]" if "\\" not in bare else r"[\"“”`]", "", bare)
    return " ".join(unquoted.split()).strip(" .:;!?,。")


def _same_number(found: str, gold: str) -> bool | None:
    """Whether two numbers are the same; None if one of them is something else."""
    mine, theirs = quantity(found), quantity(gold)
    if mine is None or theirs is None:
        return None
    (number, percent, unit), (wanted, wanted_percent, wanted_unit) = mine, theirs
    if unit and wanted_unit and not (percent or wanted_percent):
        ratio = _ratio(unit, wanted_unit)
        if ratio != 1:
            return ratio is not None and number * ratio == wanted
    if percent != wanted_percent:
        share = number / 100 if percent else number * 100
        # "25%" for 25 is the number that a question about percents asks for.
        by_digits = number == wanted and abs(wanted) >= 1
        digits = len(found.partition(".")[2].strip(" %\\")) + 2
        rounded = percent and _rounds(f"{float(share):.{digits}f}", share, gold, wanted)
        return share == wanted or by_digits or rounded
    return number == wanted or _rounds(found, number, gold, wanted)


def quantity(text: str) -> tuple[Fraction, bool, str] | None:
    """The number, whether it is a percentage, and its unit; None if the text is something else."""
    bare = re.sub(r"\\(?:text|mathrm|mbox)\s*\{\s*([^{}]*)\}", r" \1 ", text)
    for both in in_two_units(bare):
        if (both.start, both.end) == (0, len(bare.strip(" ."))):
            return both.number, False, both.unit
    bare = re.sub(r"\s+\^", "^", bare)
    bare = re.sub(
        r"\*\*|\\[()\[\]]|^\$|\$$|\\[;!:]|\\,(?!\d{3})|\^\{?\\circ\}?|°|degrees?$", "", bare
    )
    bare = re.sub(r"\\([$%])", r"\1", bare).strip().rstrip(".")
    direct = value(bare)
    if direct is not None:
        unit = "$" if bare.lstrip("-").startswith("$") else ""
        return direct, bare.endswith("%"), unit
    matches = number_matches(bare)
    if len(matches) != 1 or bare[: matches[0].start()].strip(" $€£¥"):
        return None
    unit = bare[matches[0].end() :].strip()
    number = value(matches[0][0])
    if number is None or not (re.fullmatch(UNITS, unit) or unit_name(unit)):
        return None
    return number, unit.startswith("percent"), unit


def _ratio(unit: str, other: str) -> Fraction | None:
    """How many of the unit ``other`` one ``unit`` is; None if they count different things."""
    mine, theirs = unit_at_start(unit), unit_at_start(other)
    if mine and theirs:
        return unit_ratio(mine, theirs)
    counted, wanted = (
        {word.rstrip("s") for word in re.findall(r"\w+", name.casefold())} for name in (unit, other)
    )
    return Fraction(1) if counted & wanted and not (mine or theirs) else None


def _rounds(found: str, number: Fraction, gold: str, wanted: Fraction) -> bool:
    """Whether one is a fraction without a finite decimal form, and the other is it, rounded."""
    for decimal, exact, written in ((found, wanted, gold), (gold, number, found)):
        digits = re.search(r"\d*\.(\d+)", decimal)
        if not digits or "/" in decimal or not re.search(r"/|frac|[⅓⅔⅙⅚]|overline", written):
            continue
        places = len(digits[1])
        precise = len(re.sub(r"^[0.]+", "", digits[0]).replace(".", "")) >= _ROUNDED_DIGITS
        rounded = number if decimal is found else wanted
        if precise and rounded == round(exact, places):
            return True
    return False
