"""Split model output into sentences, including paragraphs, numbered steps and formulas."""

import re
from collections.abc import Iterator

# A full stop inside a formula does not end a sentence, so formulas are skipped. A dollar sign may
# also be a price: two prices with a sentence end between them are not a formula.
_FORMULA = (
    r"\\\[.*?\\\]|\\\(.*?\\\)|\$\$.*?\$\$|\\begin\{(?P<name>\w+\*?)\}.*?\\end\{(?P=name)\}"
    r"|\$(?:(?![.!?]\s)[^$\n])+\$"
)
# FLAN's AQuA writes line breaks as a backslash and an n; \neq and similar are formulas.
_BREAK = r"(?:[^\S\n]*(?:\n|\\n(?![a-z])))+[^\S\n]*"
_STOP = r"[.!?…]+[\"'”’)\]*_`]*\s+"
_SCAN = re.compile(rf"(?:{_FORMULA})|(?P<line>{_BREAK})|(?P<stop>{_STOP})", re.DOTALL)

_NEW_LINE_STARTS = re.compile(r"[^\sa-z\\$,;.:)\]}]|\\n(?![a-z])")
_NEW_SENTENCE_STARTS = re.compile(r"[^\sa-z,;:)\]}]")
_ABBREVIATED = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Rev|Hon|Gen|Col|Lt|Sgt|Capt|Gov|Sen|Rep|Pres|Jr|Sr|St|Mt|Ft|vs|cf"
    r"|approx|resp|incl|no|No|Nos|Vol|vol|pp|Fig|fig|Eq|eq|Sec|Ch|Art|Rs|Ltd|Inc|Corp|Co|Bros"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)"
    r"|\b[a-zA-Z]\.[a-zA-Z]|(?<![a-z] )\b[A-Z][a-z]+ [A-Z]|^\W*[A-Z]|\. [A-Z])\.$"
)
_LABELLED = re.compile(r"\b(?:Sentence|Option|Choice|Answer|Statement|Case|Step|Point) [A-Z]\.$")
_NUMBERED = re.compile(r"^\W*(?:Step )?(?:\d{1,3}|[a-zA-Z]|[ivx]+)\.$")


def sentences(text: str) -> list[str]:
    """Split ``text`` into sentences, keeping white space: joined, they equal the text.

    Each sentence includes the white space after it. A sentence ends at a full stop or similar mark,
    at a blank line, and at a line break before a capital, a number or a bullet. It continues after
    a colon or a comma, through a formula, after an abbreviation and after a step number, so "The
    answer is:" stays with its answer.
    """
    ends = [*_ends(text), len(text)]
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [piece for piece in pieces if piece]


def _ends(text: str) -> Iterator[int]:
    start = 0
    for found in _SCAN.finditer(text):
        stops = found["stop"] and _stop_ends(text, start, found)
        if stops or (found["line"] and _line_ends(text, start, found)):
            start = found.end()
            yield start


def _line_ends(text: str, start: int, found: re.Match[str]) -> bool:
    before = text[start : found.start()].strip(" \n\t*_")
    goes_on = not before or before.endswith((":", ",", "=", "+", "("))
    return not goes_on and bool(_NEW_LINE_STARTS.match(text, found.end()))


def _stop_ends(text: str, start: int, found: re.Match[str]) -> bool:
    if not _NEW_SENTENCE_STARTS.match(text, found.end()):
        # A new paragraph may begin with a formula or a lowercase letter.
        return found.end() < len(text) and "\n" in found["stop"]
    if found["stop"].rstrip() != ".":
        return True
    upto = text[start : found.start() + 1]
    if _NUMBERED.match(upto.rsplit("\n", 1)[-1]):
        return False
    tail = upto[-40:]
    return bool(_LABELLED.search(tail)) or not _ABBREVIATED.search(tail)
