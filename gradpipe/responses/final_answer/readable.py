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
        "\u27e8": "(",
        "\u27e9": ")",
    }.items()
}
_WIDE_MARK = re.compile(r"(?<=[\uff10-\uff19])[\uff0c\uff0e](?=[\uff10-\uff19])")
#: A dash before a number is a minus sign unless it joins or follows something.
_DASH = re.compile(r"(?<=[=:(\[{,$*\s])[\u2010-\u2014](?=[$€£]?\.?\d)")

#: A line that begins the next turn or the next question of a prompt that the model continues.
_SPEAKER = (
    r"Q|Question|User|Human|Student|Customer|Instruction|Input|Next (?:question|problem)"
    r"|New (?:question|problem)|问题|問題|题目|題目|質問|用户|用戶|ユーザー|질문"
)
_NEXT_TURN = re.compile(
    rf"(?i)\n\s*(?:[*_]{{2}}|#{{1,4}}[ \t]*|>[ \t]*)?(?:(?:{_SPEAKER})\s*\d*\s*[*_]*\s*:"
    r"|(?P<section>Problem|Example|Exercise)\s*\d*\s*[*_]*\s*:)"
    r"|<\|(?:im_start|im_end|user|end|eot_id|endoftext|start_header_id)\|?>|\[INST\]|</s>"
    r"|<(?:start|end)_of_turn>|\n#{2,}\s*(?:Instruction|Human|User|Question)\b"
)
_ASKED_FIRST = re.compile(rf"(?i)[\s*_#>-]*(?:{_SPEAKER}|Problem|Example|Exercise)\b")


def readable(text: str) -> str:
    """Return ``text`` with plain digits, letters, quotes and minus signs, of the same length."""
    if text.isascii():
        return text
    text = _WIDE_MARK.sub(lambda mark: "," if mark[0] == "\uff0c" else ".", text)
    return _DASH.sub("-", text.translate(_PLAIN))


def first_turn(text: str) -> str:
    """The part of ``text`` before a question or a turn that the model invented.

    A text that begins with its question has sections, and is returned whole, as is a text without
    words before the first such line.
    """
    for found in _NEXT_TURN.finditer(text):
        before = text[: found.start()]
        if found[0][0] in "<[":
            return before if re.search(r"\w", before) else text
        if _ASKED_FIRST.match(text) or not re.search(r"\w", before):
            return text
        # A solution has examples and problems of its own before it comes to its answer.
        if not found["section"] or re.search(r"(?i)boxed|\banswer\b|####|答案|答え", before):
            return before
    return text
