"""Read an option's letter: at the start of a statement, as what a sentence chooses, or anywhere.

A bare "A" or "I" is also a word, and lowercase letters are words or variables, so each needs more
around it than "(B)" does.
"""

import re

_WORD = (
    r"(?:options?|choices?|letters?|answers?|alternatives?|statements?|选项|選項|选择|選擇|選択肢?)"
)
_REASON = (
    r"because|since|as|for|due|given|which|with|is|based|on|by|and|or|in|i think|according|from"
)
#: What begins a statement without saying anything: "most likely", "therefore", "the".
_LEAD = (
    rf"(?i:(?:[\W_]|\b(?:{_WORD}|the|most|likely|probably|definitely|clearly|certainly|both|all"
    rf"|of|is|be"
    r"|therefore|indeed|simply|that|of|correct|best|number|only|either|so|thus|hence|it|it's"
    r"|this|my|final)\b)*?)"
)
#: What Korean joins to the letter: "B입니다".
_COPULA = r"(?:번)?(?:입니다|이다|예요|이에요|이고|이며)"
_END = (
    rf"(?={_COPULA}|\s*(?:[.,;:!?&/+)*\]}}\"'\\—–|\n\x01]|$|-\s|\()"
    rf"|\s+(?:(?i:{_REASON})\b))"
)
_AT_START = re.compile(
    rf"{_LEAD}(?:[(\[](?P<round>[A-Ja-j])[)\]]|(?P<pair>[A-Ja-j])\)|(?P<upper>[A-J])"
    rf"(?:(?={_COPULA})|(?![\w'’]|\.\w|-\w))"
    rf"|(?P<lower>[a-j])(?![\w'’]){_END})"
)
#: "ABD" is three letters in their order.
_RUN = re.compile(
    rf"{_LEAD}(?P<run>(?=[A-F]{{2,6}}(?![A-Za-z]))A?B?C?D?E?F?"
    rf"|[A-F](?:[ -][A-F]){{1,5}})(?![A-Za-z])"
)
#: Between letters: "and", a comma; before it, the text of the option or a remark.
_MORE = re.compile(
    r"(?P<gap>[.):*\]}\s]*(?:\([^()\n]{1,40}\)|(?:(?!\b(?:it|that|this|which|is|are|was|as|since"
    r"|because|not)\b|\s[-–—]\s|\s\(?[A-J]\b)(?:[^()\n,;.&+]|\.(?=\d))){0,40}?)[)*\]}\s]*)"
    r"(?P<sign>[,;&/+、]|\n[-*•\s]*|\b(?:and|or|plus|as well as|along with)\b|和|与|と)\s*"
    r"(?:(?:and|or|also|options?|both|&)\s+)*[-*_•\s]*"
    r"(?:[(\[]([A-Ja-j])[)\]]|([A-HJ])(?=\s*(?:[.,;&/+)*\]}\"\\\n、。]|\([^()\n]*\)|$"
    r"|\s+(?:and|are|both|because|since|or|as well|plus|also)\b)))"
)
#: A letter that begins a remark of its own: "(D) is a common mistake", "A) and C) are odd".
_ONE_VERB = (
    r"(?:is|was|would|can|cannot|could|has|does|leaves?|represents|comes|follows|ranks|lies|seems"
    r"|looks|means|fails|takes)"
)
_OWN_REMARK = re.compile(
    r"[.):*\]\s]*(?:(?:,|and|or|&|/)+[\s(]*[A-J][.):*\]\s]*)*\s*(?:(?:[-–]\s*\S+\s+)?"
    rf"(?:{_ONE_VERB}|(?P<are>are|were|do|have))"
    # The text of the option may stand between: "(B) Saturn comes second".
    r"|(?<!\.\s)(?:(?!(?:and|or|because|since|as|both|all|are|that|which|[A-J])\b)[\w'-]+\s+){1,4}?"
    rf"{_ONE_VERB})\b(?! (?:both |all )?(?:correct|right|true))"
)
_BEFORE = re.compile(
    r"(?<![Bb]etween )(?<![A-J] and )(?:(?:[Oo]ptions?\s+)?\(?\b[A-J]\b\)?\s*(?:,|,? and"
    r"|,? or|&)\s+(?:[Oo]ption\s+)?)+$"
)
_ORDINALS = {
    name: letter
    for names, letter in (
        (("first", "1st"), "A"), (("second", "2nd"), "B"), (("third", "3rd"), "C"),
        (("fourth", "4th"), "D"), (("fifth", "5th"), "E"),
    )
    for name in names
}  # fmt: skip
_ORDINAL = re.compile(
    rf"(?i){_LEAD}\b({'|'.join(_ORDINALS)}|last)\s+(?:option|choice|answer|one|alternative)\b"
)
_ONE = (
    r"(?:\(([A-Ja-j])\)|\b([B-HJ])\b[.):]?|\b([AI])\b(?=[.):*]|\s+(?:is|was|would|must|seems"
    r"|looks|appears|sounds|fits|matches"
    r"|works|and)\b)|\b(?:option|choice) ([a-j])\b)"
)
_RIGHT = (
    r"(?:correct|right|best|true|answer|accurate|appropriate|suitable|fits?|match(?:es)?|valid"
    r"|works|better"
    r"|only (?:one|option)|plausible|logical|sensible|makes sense|winner|closest|valid)"
)
_CHOSEN = (
    # "I choose (C)", "go with B".
    re.compile(
        r"(?i:\b(?:choose|chose|pick|select|selected|choosing|go(?:ing)? with|went with|opt for"
        r"|settle on"
        rf"|answer with|vote for|lean(?:ing)? towards?|conclude|leaves?|leaving|left with"
        rf"|remains|corresponds to|matches|is|are|be|say|favou?r|so|thus|hence|therefore)[,:]?"
        rf"\s+(?:with |that |it is |it's |the |to |for |only |just |either |both |me "
        rf"|us )*(?:{_WORD}\s+)?\W*?)"
        rf"(?:\(([A-Ja-j])\)|([B-HJ])(?![\w'])|(A){_END}|(?<=option )([a-j])\b)"
    ),
    # "Option B is correct", "(B) fits best".
    re.compile(
        rf"(?:(?i:{_WORD})\W+)?{_ONE}(?:(?!\b[A-J]\b)[^.!?\n]){{0,60}}?"
        rf"(?i:\b(?:is|was|are|must be|would be|seems|looks|appears|sounds|remains|must"
        rf"|should be)\b(?:\s+\w+){{0,4}}?\s+)?\b(?i:{_RIGHT})\b(?!\W{{1,3}}if\b)"
    ),
    # "Only B is even", "that's B", "that is, A and C".
    re.compile(
        r"(?i:\bonly\s+(?:options?|choices?|answers?)?\s*)\(?([A-HJ])\b"
        r"(?=[)*]*\s*(?:,|&|and|\(|(?:is|are|has|have|can|fits?|works?|does)\b))"
        r"|(?i:\b(?:that|it)['’]s\s+)\(?([B-HJ])\b(?![\w'])"
        r"|(?:\bi\.e\.|\bnamely|\bthat is),?\s+\(?([A-J])\b(?=[)*]*\s*(?:,|&|\band\b|[.]?\s*$))"
    ),
    re.compile(r"\(?\b([A-J])\)? (?:explains|answers (?:it|the|this))\b"),
    re.compile(
        r"(?i:\b(?:(?:it|that|this|answer)(?:['’]s| is)|go with|choose|pick|select)"
        r" [\w' ]{2,30},? (?:which is )?(?:option|choice)) \(?([A-J])\b"
    ),
    # "C is.", "It should be b."
    re.compile(
        r"\b([A-HJ]) (?:is|does|are|do)\s*[.!]|\b(?:should|must|would|has to) be \(?([a-j])\)?\W*$"
        r"|^\W*([b-j]) is (?:the )?(?:correct|right|best|answer)\b"
    ),
    # Chinese and Japanese: 选B, 选项B正确, Bが正解.
    re.compile(
        r"(?:正しいのは|只有|[选選][择擇択]?|[选選][项項]|選択肢|应为|應為|为|是|答え?|正解|故)(?:[项項])?[\s:是为はが]*[(]?([A-J])(?![A-Za-z])"
        r"|([A-J])[)]?\s*(?:が|は|是|项|項|选项|選項)?(?:正解|正しい|正[确確]|[对對]|最)"
    ),
    # Korean: B가 정답입니다, 따라서 B입니다.
    re.compile(
        rf"(?:따라서|그러므로|그래서|선택은)\s*[(]?([A-J])[)]?(?={_COPULA})"
        r"|([A-J])[)]?(?:번)?(?:이|가)\s*(?:정답(?!이 아)|맞|옳)(?!지 않)"
    ),
)
_ANYWHERE = re.compile(
    r"\(\W?([A-J])\W?\)|\b([A-J])(?=[).:*}]|\\\))|^\W*([A-J])\W*$"
    r"|(?i:\b(?:option|choice|letter|answer)s?)\W{1,3}([A-Ja-j])(?![\w'])|\(([a-j])\)"
)


def letter_at_start(passage: str, texts: dict[str, str], *, alone: bool = False) -> list[str]:
    """The letters that a statement begins with; ``texts`` are the options by letter.

    ``alone`` is for a text without a statement: there, "B is odd" says something about B only.
    """
    original, passage = passage, passage.replace("\x01", " ")
    if ordinal := _ORDINAL.match(passage):
        names = sorted(name for name in texts if name)
        last = names[-1] if names else "E"
        return [_ORDINALS.get(ordinal[1].casefold(), last)]
    if run := _RUN.match(passage):
        return re.findall("[A-F]", run["run"])
    found = _AT_START.match(passage)
    # "A and C are, and B is not": where some are denied, the others are chosen.
    alone = alone and "\x01" not in original
    return _first_letters(found, passage, texts, alone) if found else []


def _first_letters(
    found: re.Match[str], passage: str, texts: dict[str, str], alone: bool
) -> list[str]:
    letter = (found["round"] or found["pair"] or found["upper"] or found["lower"]).upper()
    behind = passage[found.end() :]
    if found["upper"] in ("A", "I") and not _is_letter(letter, behind, texts):
        return []
    if found["lower"] and texts and letter not in texts:
        return []
    letters, rest = _more(behind)
    if alone and re.match(r"\s+(?:is|are|was|were|does?|can|has|have|would|will)\b", rest):
        return []
    return [letter, *letters]


def _more(behind: str) -> tuple[list[str], str]:
    """The letters that a letter's "and", "or" or comma adds to it, and the text behind them."""
    letters: list[str] = []
    while more := _MORE.match(behind):
        remark = _OWN_REMARK.match(behind, more.end())
        apart = more["gap"].strip(" )*]") or more["sign"][0] in ";\n"
        if remark and (apart or not remark["are"]):
            break
        letters.append((more[3] or more[4]).upper())
        behind = behind[more.end() :]
    return letters, behind


def _is_letter(letter: str, behind: str, texts: dict[str, str]) -> bool:
    """Whether "A" is an option and no article: by what follows it."""
    if re.match(_END, behind):
        return True
    text = texts.get(letter, "").casefold()
    said = behind.strip(" *:.-").casefold()
    return bool(text) and (said.startswith(text) or (text.startswith(said[:20]) and len(said) > 2))


def chosen_letters(sentence: str) -> list[str]:
    """The letters that a sentence chooses: "I pick (C)", "option B is correct".

    What holds in another case ("for cows it would be A") counts only where nothing else does.
    """
    every = [list(pattern.finditer(sentence)) for pattern in _CHOSEN]
    actual = every
    if "would" in sentence:
        actual = [
            [one for one in found if not _WOULD.search(sentence[: one.end()])] for found in every
        ]
    for found in (*actual, *every):
        if found:
            last = next(n for n in range(1, 6) if n <= found[-1].re.groups and found[-1][n])
            before = _BEFORE.search(sentence[: found[-1].start()])
            letters = re.findall(r"\b[A-J]\b", before[0]) if before else []
            return [*letters, found[-1][last].upper(), *_more(sentence[found[-1].end(last) :])[0]]
    return []


_WOULD = re.compile(r"\bwould (?:only )?(?:be|have)\W+[A-J]\)?$")


def letters_within(passage: str) -> list[str]:
    """The letters that are written as options anywhere in ``passage``."""
    return [next(g for g in found.groups() if g).upper() for found in _ANYWHERE.finditer(passage)]


_BEGINS = re.compile(
    r"\W{0,3}[A-J](?:[).:*\]]|,|\s[-–—]|\s(?:and|&)\s[A-J](?:,|\s(?:because|since|as)\b))"
)
_LETTERED_LINE = re.compile(r"(?m)^\W*(?:[Oo]ption )?[A-J]\W")


def begun_letters(text: str) -> list[str]:
    """The letters that a text begins with before its reasons: "B, since 8 = 2·4. C is 3·3."."""
    if not _BEGINS.match(text) or len(_LETTERED_LINE.findall(text)) > 1:
        return []
    return letter_at_start(text.split("\n", maxsplit=1)[0], {}, alone=True)
