"""Read the options of a list: the ones that it marks as right, or all options of a short list."""

import re

_LINE = re.compile(
    r"(?m)^[\s\-*•#>\d.]*?(?:[Oo]ption |[Cc]hoice |[Ss]tatement )?[*(\[]*(?P<letter>[A-J])[)\]:.*]+"
    r"(?P<said>[^\n]*)$"
)
_YES = re.compile(
    r"[✓✔✅☑]|(?i:(?<!not )(?<!in)\b(?:yes|true|correct|right|valid)\b(?=[\W_]*(?:$|[(,;.–—-])))"
)
_NO = re.compile(
    r"[✗✘❌✖☒×]|(?i:\b(?:no|false|incorrect|wrong|invalid|not (?:true|correct|right|valid))\b"
    r"(?=[\W_]*(?:$|[(,;.–—-])))"
)
#: A last paragraph that says something of other options, and concludes nothing.
_REMARK = re.compile(
    r"(?i)(?!.*\b(?:so|therefore|thus|hence|answer|correct|only|choose)\b)\w[^\n]*"
)
_IN_BRACKETS = re.compile(
    r"\([A-J]\)(?:,|;|,? and\b|,? or\b| &|\s)+(?=(?:[^\s(),;]+\s+){0,3}\([A-J]\))"
)


def verdict_list(text: str) -> list[str]:
    """The letters of the lines that say "correct" of their option, where each line judges one."""
    lines = list(_LINE.finditer(text))
    said = [(bool(_YES.search(line["said"])), bool(_NO.search(line["said"]))) for line in lines]
    if len(lines) < 2 or not all(yes != no for yes, no in said):
        return []
    return [line["letter"] for line, (yes, _) in zip(lines, said, strict=True) if yes]


def only_listed(text: str, options: list[tuple[str, str]]) -> list[str]:
    """The letters of a list of options that ends a text, unless it lists all options again."""
    letters: list[str] = []
    before, _, behind = text.rstrip().rpartition("\n\n")
    if behind and _REMARK.fullmatch(behind) and before.count("\n") > 1:
        text = before
    for line in reversed(text.rstrip().split("\n")):
        found = _LINE.fullmatch(line)
        if line.strip() and not found:
            break
        if found and not _is_option(found, dict(options)):
            return []
        letters += [found["letter"]] if found else []
    every = {name for name, _ in options}
    return letters[::-1] if len(letters) > 1 and set(letters) < every else []


def _is_option(line: re.Match[str], texts: dict[str, str]) -> bool:
    plain = re.sub(r"[\W_]+", " ", line["said"]).strip().casefold()
    option = re.sub(r"[\W_]+", " ", texts.get(line["letter"], "")).strip().casefold()
    return bool(option) and plain == option


def letters_in_brackets(sentence: str) -> list[str]:
    """All letters of a sentence that lists them: "whale (A) and bat (C)"."""
    letters = re.findall(r"\(([A-J])\)", sentence)
    if len(letters) > 1 and len(_IN_BRACKETS.findall(sentence)) == len(letters) - 1:
        return letters
    return []


def headed_letter(text: str, options: list[tuple[str, str]]) -> list[str]:
    """The letter of a first paragraph that is an option alone, before what is said of others."""
    first, _, rest = text.strip().partition("\n\n")
    head = _LINE.fullmatch(first)
    if not head or not _is_option(head, dict(options)):
        return []
    others = _LINE.findall(rest)
    plain = [line for line in rest.split("\n") if line.strip() and not _LINE.fullmatch(line)]
    apart = plain and all(letter != head["letter"] for letter, _ in others)
    return (
        [head["letter"]]
        if apart and not re.search(r"(?i)\banswer\b|therefore|thus|so\b", rest)
        else []
    )
