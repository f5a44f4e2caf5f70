"""Find a list that a response ends on: a set, boxes, "x = 1 or x = 2", or lines of values."""

import re

from gradpipe.responses.final_answer.evidence import FoundAnswer, endings, marks

_INNER = r"(?:[^{}\\]|\\(?![{}])|\{[^{}]*\}"
#: A set, or a set of sets.
_SET = re.compile(rf"\\\{{({_INNER}|\\\{{{_INNER})*\\\}})+)\\\}}|(?<![\w\\}}^_)])\{{([^{{}}]+)\}}")
_REASON = re.compile(
    r"(?i),?\s(?:because|since|as (?:these|those|they|it|each|both)|which|where|for which"
    r"|so (?:there|it|that|we)|and (?:their|the|its) (?:sum|product|total|difference))\b.*$"
)
#: What stands between the subject and its values.
_VERB = re.compile(
    r"(?i)\b(?:are|is|be|so|thus|therefore|set|roots?|solutions?|values?|divisors?|factors?"
    r"|numbers?"
    r"|elements?|contains?|has|have|get|gives?|yields?"
    r"|either|both|namely|by|of(?= [-\d{])|equals|leav\w+)\b:?|:"
)
#: Values first: "2 and 3 are the roots".
_VALUES_FIRST = re.compile(
    r"(?i)^\W*(?:(?:so|thus|hence|both),? )?(.+?)\s+(?:are|work|satisfy|solve)\b"
)
_VALUE = re.compile(r"[^A-Za-z]+|.*\\.*|-?[a-z0-9]")
_EQUATION = re.compile(
    r"(?<![\w)}^*+/-])(?<![-+*/^]\s)([a-z])(?:_?\{?\d\}?|[₁₂₃₄])?\s*=\s*"
    r"([^A-Za-z=,;\n]*(?:\\[a-z]+[^A-Za-z=,;\n]*)*?)(?=\s*(?:$|[,;.\n](?!\d)|\b(?:and|or)\b|\)))"
)
_BULLET = re.compile(r"\s*(?:[-*•]|\(?\d{1,2}[.)]|\(?[ivx]+[.)])\s+(\S.*)")
_DECIDES = re.compile(
    r"(?i)^\W*(?:so|therefore|thus|hence|finally|but|however)\b|[a-z]\s*=|\b(?:only one|reject\w*"
    r"|discard\w*|extraneous|invalid|negative|positive|answer|must|cannot)\b"
)
_CHECKS = re.compile(
    r"(?i)\W*(?:(?:we can |let(?:'s| us) |to )?(?:check|verif)|indeed"
    r"|both (?:satisfy|work|check|are valid))"
    r"|.*\b(?:on the other hand|by contrast|in contrast|for comparison)\b"
)


def find_list(text: str) -> FoundAnswer | None:
    """The members of a list that a statement, boxes or the last sentence give one by one."""
    boxes = [mark for mark in reversed(marks(text)) if mark.evidence == "box"]
    last = [sentence for sentence, _ in endings(text) if not _CHECKS.match(sentence)][:3]
    if len(boxes) > 1 and last and all(mark.start >= len(text) - len(last[0]) for mark in boxes):
        joined = ", ".join(mark.passage for mark in boxes)
        return FoundAnswer(joined, "box", joined)
    if boxes:
        return None
    for mark in marks(text):
        if listed := _in_passage(mark.passage.split("\n")[0]):
            return FoundAnswer(listed[0], mark.evidence, listed[1])
    listed = _in_lines(text)
    for sentence in last:
        listed = listed or _in_passage(sentence)
        # A remark may follow the list, but no choice of one of its members.
        if listed or _DECIDES.search(sentence):
            break
    return FoundAnswer(listed[0], "last", listed[1]) if listed else None


def _in_passage(passage: str) -> tuple[str, str] | None:
    """The list of a statement or a sentence, and as written."""
    if sets := [found for found in _SET.finditer(passage) if re.search(r"[\d,a-z]", found[0])]:
        # "{1, 4} is the intersection of {1, 2, 4} and {1, 3, 4}."
        subject = re.fullmatch(r"[\W]*", passage[: sets[0].start()]) and re.match(
            r"[\s$\\)]*(?:is|are)\b", passage[sets[0].end() :]
        )
        chosen = sets[0 if subject else -1]
        return f"\\{{{chosen[1] or chosen[2]}\\}}", chosen[0]
    return _in_words(passage, _REASON.sub("", passage)) or _in_words(passage, passage)


def _in_words(passage: str, plain: str) -> tuple[str, str] | None:
    """The list of a passage without a set in braces; ``plain`` is what is read of it."""
    plain = re.sub(r"\\[()\[\],;! ]|\\q?quad(?![a-z])|[$*]|\.\s*$", " ", plain)
    plain = re.sub(r"\\text\s*\{\s*(,?\s*(?:and|or),?)\s*\}", r" \1 ", plain)
    plain = re.sub(r"\s*\((?=[^()]*[a-z]{2})[^()]*\)", "", plain)
    plain = re.sub(r"(?i)\bplus or minus\s+", "±", plain)
    values = list(
        dict.fromkeys((found[1], found[2].strip()) for found in _EQUATION.finditer(plain))
    )
    single = [pair for pair in values if not re.search(r"±|\\pm", pair[1])]
    values = single if len(single) > 1 else values
    if len(values) > 1 and len({name for name, _ in values}) == 1 and all(v for _, v in values):
        return ", ".join(value for _, value in values), passage.strip()
    first = _VALUES_FIRST.match(plain)
    for part in (_VERB.split(plain)[-1], _VERB.split(first[1])[-1] if first else ""):
        if members := _members(part):
            return ", ".join(members), part.strip()
    only = _VERB.split(plain)[-1].rsplit("=", 1)[-1].strip()
    return (only, only) if re.fullmatch(r"(?:±|\\pm)\s*[^\sA-Za-z]+", only) else None


def _members(part: str) -> list[str]:
    pieces = re.split(r",?\s*\b(?:and|or)\b\s*|[,;]\s*(?![^()]*\))", part.strip().strip("{}\\, "))
    values = [piece.rsplit("=", 1)[-1].strip() for piece in pieces]
    return values if len(values) > 1 and all(_VALUE.fullmatch(value) for value in values) else []


def _in_lines(text: str) -> tuple[str, str] | None:
    """The values of the bulleted lines that end a text, behind a line with a colon."""
    lines = [line for line in text.rstrip().split("\n") if line.strip()]
    values: list[str] = []
    while lines and (item := _BULLET.fullmatch(lines[-1])):
        bare = re.sub(r"\\[()\[\]]|[$*]|[.,;]\s*$|\s(?:and|or)$", "", item[1]).strip()
        values.append(bare.rsplit("=", 1)[-1].strip())
        lines.pop()
    named = bool(lines) and lines[-1].rstrip(" *").endswith(":")
    if len(values) < 2 or not named or not all(_VALUE.fullmatch(value) for value in values):
        return None
    return ", ".join(reversed(values)), values[0]
