"""Prepare a response for reading: one width of characters, one minus sign, no invented turns.

Every character keeps its place, so a place in the prepared text is a place in the response.
"""

import re

#: Full-width ASCII and other ways to write a plain character, each one character long.
_PLAIN = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    ord(odd): ord(plain)
    for odd, plain in {
        "\u3000": " ",
        "\u2212": "-",
        "\ufe63": "-",
        "\uff0d": "-",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        # A full-width comma or stop is punctuation; between full-width digits, see _WIDE_MARK.
        "\uff0c": "\u3001",
        "\u300c": '"',
        "\u300d": '"',
        "\u300e": '"',
        "\u300f": '"',
        "\u3010": "[",
        "\u3011": "]",
        "\u2217": "*",
        "\u2236": ":",
        "\u2044": "/",
        "\u27e8": "(",
        "\u27e9": ")",
    }.items()
}
_WIDE_MARK = re.compile(r"(?<=[\uff10-\uff19])[\uff0c\uff0e](?=[\uff10-\uff19])")
#: A fraction of raised and lowered digits.
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+\u2044[\u2080-\u2089]+")
_RAISED_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", "01234567890123456789")
#: A dash before a number is a minus sign unless it joins or follows something.
_DASH = re.compile(r"(?<=[=:(\[{,$*\s])[\u2010-\u2014](?=[$€£]?\.?\d)")

#: A line that begins the next turn or the next question of a prompt that the model continues.
_SPEAKER = (
    r"Q|Question|User|Human|Student|Customer|Instruction|Input|Follow-?up"
    r"|问题|問題|题目|題目|質問|用户|用戶|ユーザー|질문"
)
_TASK = r"(?:question|problem|exercise|example|task|puzzle|one)"
#: "Now try this one", "Here is another question", "Bonus question".
_INVITES = (
    r"(?:(?:now|next|and|okay|here(?: is|'s)|let(?:'s| us)|try|answer|solve|do|consider|the|a"
    rf"|this)[, ]+){{0,4}}(?:(?:next|new|another|similar|follow-?up|bonus|practice|extra)"
    rf"(?: \w+)? {_TASK}\b(?! (?:is|was|we|that)\b)|(?:try|answer|solve) (?:it yourself"
    rf"|this one)\b|try:|your turn\b)"
)
_SECTION = r"Problem|Example|Exercise|Task"
_LINE = r"\n\s*(?:[*_]{2}|#{1,4}[ \t]*|>[ \t]*|\[|<)?"
_NEXT_TURN = re.compile(
    rf"(?i){_LINE}(?:(?:{_SPEAKER})\s*\d*\s*[*_]*\s*(?:[:>\]]|(?<=\nQ)\.|(?<=\d)[ \t]*\n)"
    rf"|{_INVITES}"
    rf"|(?P<section>(?:{_SECTION})\s*(?P<number>\d*)\s*[*_]*\s*(?:[:.]|(?<=\d)[ \t]*\n|(?<=\d)\])))"
    r"|(?<=[.!?])[ ](?-i:Q|Question|User|Human)[ ]?\d*:"
    r"|(?P<token><\|(?:im_start|im_end|user|end|eot_id|endoftext|start_header_id)\|?>|\[INST\]"
    r"|</s>|<(?:start|end)_of_turn>)|\n#{2,}\s*(?:Instruction|Human|User|Question)\s*\d*\s*(?=\n)"
    r"|\n\s*\n(?:[-*_]{3,}\s*\n\s*)?(?P<bare>(?:\d{1,2}[.)]\s+)?(?:How|What|Which|Who|When|Where"
    r"|Why|Find|(?:Now|And|Next),? (?:what|how) about|Is|Are|Was|Were|Do|Does|Did|Can|Could|Will"
    r"|Would|Has|Have|Should"
    r"|[A-Z][a-z]+ (?:has|had|buys))\b"
    r"[^\n?]{5,300}\?)(?=\s+\S)"
)
_ASKED_FIRST = re.compile(rf"(?i)[\s*_#>\[<-]*(?:{_SPEAKER}|{_SECTION})\b")
#: What shows that a text has answered before its next question.
_ANSWERED = re.compile(r"(?i)boxed|\banswer\b\W*(?:is\b|:)|####|答案|答え")
_REPLIED = re.compile(
    r"(?i)(?:^|\n)[\s*_#>\[<-]*(?:A|Answer|Solution|Response|Assistant)\b|boxed|####"
)
#: The most words of an answer that says no more than itself.
_SHORT = 12


def readable(text: str) -> str:
    """Return ``text`` with plain digits, letters, quotes and minus signs, of the same length."""
    if text.isascii():
        return text
    text = _RAISED.sub(lambda part: part[0].translate(_RAISED_DIGITS), text)
    text = _WIDE_MARK.sub(lambda mark: "," if mark[0] == "\uff0c" else ".", text)
    return _DASH.sub("-", text.translate(_PLAIN))


def first_turn(text: str) -> str:
    """The part of ``text`` before a question or a turn that the model invented.

    A text may begin with its own question, and a solution may have examples or questions of its
    own: these end nothing before the text has answered. A text without words before the first such
    line is returned whole.
    """
    asked_first = bool(_ASKED_FIRST.match(text))
    for found in _NEXT_TURN.finditer(text):
        before = text[: found.start()]
        if not re.search(r"\w", before):
            return text
        if found["token"]:
            return before
        if asked_first and not _REPLIED.search(before):
            continue
        own = (found["section"] and not int(found["number"] or 0) > 1) or found["bare"]
        if not own or _ANSWERED.search(before) or len(before.split()) <= _SHORT:
            return before
    return text


def is_another_turn(rest: str) -> bool:
    """Whether what follows ``first_turn`` is a turn or a labeled question, and not a section."""
    found = _NEXT_TURN.match(rest)
    return found is None or not (found["section"] or found["bare"])
