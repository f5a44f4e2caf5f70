"""Find whether a response says yes or no: said in a word, or as a verdict on the statement."""

import re

from gradpipe.responses.final_answer.concluding_sentences import stems_in_order
from gradpipe.responses.final_answer.concluding_sentences import words as stems
from gradpipe.responses.final_answer.evidence import Evidence, FoundAnswer, endings, marks
from gradpipe.responses.final_answer.verdicts_on_questions import (
    is_on_question,
    verdict_on_question,
)

_HEDGE = (
    r"(?:most |very |quite )?(?:likely|probably|definitely|certainly|clearly|perhaps"
    r"|possibly|essentially|technically|generally|an? (?:clear|definite|resounding|qualified|simple"
    r"|definitive|emphatic|cautious)|a|mostly)"
)
_CJK = (
    r"不(?=[、。,])|否定|肯定|不是的?|不[对對]|不[会會]|不能|不正[确確]|不可以|错误?|錯誤?|否|[没沒]有|不可能|是的|是|[对對]的?|正[确確]|可以|[会會]的|能|有"
    r"|いいえ|正しくありません|正しくない|間違い|誤り|はい|正しい"
    # Before a noun, 예 and 네 are other words.
    r"|아니[요오]|(?:예|네)(?=\s*[*\"',.!]|\s*$|입니다)"
    r"|그렇지 않습니다|그렇습니다|맞습니다|틀렸습니다|참|거짓"
)
_SAID = (
    r"(?P<said>(?:absolutely|definitely|certainly|of course|probably) not|not"
    r" (?:really|at all|exactly|quite)|it (?:would )?(?:seems?|appears?) so|I (?:think|believe) so"
    r"|I (?:don['’]t|do not) think so|no way"
    r"|nope|yep|yeah|(?:absolutely|definitely|certainly|of course|indeed|sure)(?=\s*(?:[.!]|$))"
    r"|yes|no|true|false)(?=[\"'”*}.,;:)\]!]|\s*$|\s*\\|\s*\n|\s+[-–—(]|,"
    r"|\s+(?:because|since|as|it|he|she|they|there|this|that|you|we|I|based|given|for)\b)"
)
_ANYWHERE = re.compile(rf"(?i)(?<![\w-]){_SAID}")
_DIRECTLY = re.compile(
    rf"(?i)(?:[\W_]|\b(?:text|boxed|that|it|is|be|the|a|indeed|therefore|simply|just|statement"
    rf"|claim"
    rf"|sentence|{_HEDGE})\b)*?(?P<no>\bnot\s+(?:an?\s+|simply\s+)?)?(?<![\w-]){_SAID}"
)
#: What a yes or no is said of: "in general", "from a legal point of view".
_RESPECT = (
    r"(?:in (?:the end|general|principle|practice|essence|short|most cases|a (?:sense|way)"
    r"|(?:the|an?|its|that|this) (?:\w+ ){1,2}sense)"
    r"|(?:in terms of|from (?:the|an?)|by (?:the|this|that|any|most)|as far as|when it comes to"
    r"|for most|at least) [\w' -]{3,40}(?=[,:])|on (?:the whole|balance)"
    r"|by (?:definition|and large)|all (?:in all|things considered)"
    r"|for (?:the most part|all practical purposes)"
    r"|as a (?:general )?rule|\w+ly(?: speaking)?|pretty much|more or less)"
)
_LEAD = (
    rf"(?:(?:therefore|thus|hence|so|but|in conclusion|(?:final )?conclusion|in summary|summary"
    rf"|overall|option|decision|verdict|final \w+|well|finally|{_RESPECT}|{_HEDGE})\W+)*"
)
_AT_FIRST = re.compile(rf"(?i)\W*(?P<lead>{_LEAD}){_SAID}")
#: "It's sold as a vegetable, but botanically, yes: it is a fruit."
_AFTER_BUT = re.compile(
    rf"(?i)[,;:–—-] (?:but|so|still|yet)\b\W+(?:(?:in|for|from|with|on|at) [\w' ]{{2,40}},? )?"
    rf"{_LEAD}(?P<said>yes|no)(?=[,.:;])"
)
#: A paragraph that begins with a yes or no.
_BEGUN = re.compile(r"(?im)^[*_ ]*(?P<said>yes|no)(?=[,.:;])[^.!?\n]*")
#: What a sentence says of a statement.
_ON_STATEMENT = re.compile(
    r"(?i)\b(?:the|this|that) (?:given )?(?:statement|claim|sentence|assertion)(?: given| above)?"
    r" is (?:\w+ly )?\W*(?P<said>(?:not )?(?:true|correct|right|accurate)|false|incorrect|wrong"
    r"|inaccurate|untrue)\b"
)
#: "In theory, yes": this alone decides nothing.
_IN_ANOTHER = re.compile(r"(?i)\W*(?:[\w' -]{2,60}[,:]\W*)?(?P<said>yes|no)(?=[,.:;])")
_SETTLES = re.compile(
    r"(?i)\b(?:but|so|overall|in the end|ultimately|finally|therefore|thus|hence|conclusion)\b"
)
_IN_RESPECT = re.compile(rf"(?i){_RESPECT}")
#: The last sentences in which a yes or no counts.
_LAST = 4
#: The share of a question's words in a paragraph that repeats it.
_REPEATED = 0.6
_DENIAL = re.compile(
    r"(?i)(?:no|nope|false|incorrect|wrong|inaccurate|untrue)\b|.*\b(?:not|don['’]t)\b"
)
_BEGINS = re.compile(r"(?i)\W*(?P<said>(?:in)?correct|right|wrong)(?=[.!,])")
_ON_ITS_OWN = re.compile(
    r"(?im)^\W*(?:(?:option|answer|verdict|conclusion|decision)\W+)?(?P<said>yes|no|true|false)\W*$"
)
_SAID_LAST = re.compile(
    r"(?i)(?:\b(?:say|says|towards?|end|answer|choose|so|is|conclude|think|be|to|with|an?)\W+"
    r"|(?<=[a-z])[:,]\s+)"
    r"(?P<said>yes|no)\W*$"
)
#: "It seems fair to answer yes here", "I would lean yes, since".
_SAID_WITHIN = re.compile(
    r"(?i)\b(?:answer|say|lean(?:ing)?(?: towards?)?|go(?:ing)? with|conclude|settle on)\W{1,3}"
    r"(?P<said>yes|no)(?=[\"'*]{0,3}(?:[.,;:!]|\s+(?:here|since|because|as|for|in|on|but|at"
    r"|overall|[-–—])(?!\w)))"
)
_CJK_SAID = re.compile(
    rf"^[\s*、,。:\"']*(?:所以|因此|答案|综上|总之|よって|したがって|结论|結論)?[、,是为:\s]*(?P<said>{_CJK})"
    r"(?=[\s*。、,.!:\"']|$|的|です|입니다|이다)"
)
_CJK_VERDICT = re.compile(
    r"(?P<bad>(?:是|为|為)?(?:错误?|錯誤?|假|不正[确確]|不[对對]|不成立)的?|間違い|間違っています|誤り|正しくありません|正しくない"
    r"|できません|ではありません)|(?P<good>(?:是|为|為)?(?:正[确確]|[对對]|真|成立)的?|正しいです|正しい|できます)"
)
_VERDICT = re.compile(
    r"(?i)\b(?:(?:is|are|was|were|be|been|as|seems|appears|remains|does|do|did|it|sentence|holds"
    r"|makes?"
    r"|making|rings|considered|claim|statement)\b|\w+n't\b)"
    r"(?P<no>\W+(?:not|never|neither|cannot be|hardly|no longer)\b"
    r"|(?<=n't))?(?:,? (?:for the most part|by and large|more or less),?)?(?:\W+(?!not?\b"
    r"|\w+n't)\w+){0,3}?\W+"
    r"(?:(?P<good>true|correct|accurate|factual|verifiable|plausible|possible|makes? sense|valid"
    r"|right"
    r"|reasonable|feasible"
    r"|likely(?!\W+(?:not|true|false|(?:in|un)\w{3,})\b))|(?P<bad>false|incorrect|inaccurate|untrue"
    r"|implausible|impossible|unlikely|wrong|misleading|unsupported|unreasonable|a myth|invalid"
    r"|infeasible"
    r"|illogical|nonsensical|unverifiable|fictional|improbable|absurd|not (?:true|correct"
    r"|accurate)))\b"
)


_SAYING = re.compile(
    r"(?i) (?:to|and \w+ to) (?:conclude|say|state|assume|infer|assert|suggest|believe"
    r"|argue|deduce)\b"
)
_NOT_SAID = re.compile(r"(?i)\b(?:wrong|not|never|hard)\b|n't")
_SAID_BY_OTHERS = re.compile(
    r"(?i)\b(?:wrong|not|never|hard|might|may|could|some|many|people|others?|if|whether|tempt\w*"
    r"|cannot)\b|n't"
)
#: What begins the clause in which a word is said.
_CLAUSE = re.compile(r";|, (?:so|but|thus|I)\b")
_NO_ANSWER = re.compile(r"(?i)\b(?:answer|conclusion|statement about|certainty|verdict)\s*$")
_ASKS_OPPOSITE = re.compile(r"(?i)\b(?:impossible|unlikely|improbable|implausible)\b[^?]*\?")
_OF_CHANCE = re.compile(r"(?i)(?:possible|likely|probable|plausible|feasible)$")
_ASKS_FACT = re.compile(
    r"(?i)(?:^|[.!?\n] *)(?:is|are|was|were|do|does|did|has|have|had)\b"
    r"(?![^?]*\b(?:possibl[ey]|claim|statement|sentence|likely|hypothetically)\b)[^?\n]*\?"
)


def find_yes_or_no(text: str, words: tuple[str, str], question: str) -> FoundAnswer | None:
    """``words[0]`` if ``text`` says yes, ``words[1]`` if it says no, None if it says neither."""
    ends = [sentence for sentence, _ in endings(text)]
    for found, evidence in _said_in_word(text, ends):
        if _in_one_respect(found, ends):
            return None
        negated = bool(found.groupdict().get("no"))
        said = found["said"]
        denies = bool(_DENIAL.match(said)) or _denies_in_cjk(said)
        return FoundAnswer(words[denies != negated], evidence, said)
    verdict = _verdict_on_statement(ends, question)
    verdict = verdict_on_question(text, question) if verdict is None else verdict
    if verdict is not None:
        return FoundAnswer(words[not verdict], "conclusion", "")
    for said in (_begun_paragraphs(text, question), _on_statement(text)):
        if said and len({bool(_DENIAL.match(word)) for word in said}) == 1:
            return FoundAnswer(words[bool(_DENIAL.match(said[-1]))], "conclusion", said[-1])
    return None


def _verdict_on_statement(ends: list[str], question: str) -> bool | None:
    """Whether one of the last two sentences judges that what is asked is true."""
    for sentence in ends[:2]:
        judged = [one for one in _VERDICT.finditer(sentence) if _judges(one, sentence, question)]
        if judged:
            good = (judged[-1]["bad"] is None) == (judged[-1]["no"] is None)
            opposite = _ASKS_OPPOSITE.search(question) and _OF_CHANCE.search(judged[-1][0])
            return good != bool(opposite)
        judged = list(_CJK_VERDICT.finditer(sentence))
        if judged:
            return judged[-1]["bad"] is None
    return None


def _begun_paragraphs(text: str, question: str) -> list[str]:
    """The yes and no with which paragraphs begin, if one of them repeats the question."""
    begun = list(_BEGUN.finditer(text))
    asked = stems_in_order(question)
    repeats = any(len(stems(found[0]) & set(asked)) >= _REPEATED * len(asked) for found in begun)
    return [found["said"] for found in begun] if asked and repeats else []


def _on_statement(text: str) -> list[str]:
    """What a text says of a statement, if its first sentence says nothing else."""
    found = list(_ON_STATEMENT.finditer(text))
    first = re.split(r"[.!]\W|\n", text.lstrip(), maxsplit=1)[0]
    alone = found and re.search(rf"\b{re.escape(found[0]['said'])}\W*$", first)
    return [one["said"] for one in found] if alone else []


def _judges(verdict: re.Match[str], sentence: str, question: str) -> bool:
    """Whether a verdict is on what is asked, and not on saying so: "it is fair to say that"."""
    if verdict["good"] and verdict["no"] is None and _SAYING.match(sentence, verdict.end()):
        return False
    if _NO_ANSWER.search(sentence[: verdict.start()]):
        return False
    about_words = re.search(r"(?i)true|correct|accura|false|untrue|wrong", verdict[0])
    if not about_words and not is_on_question(sentence, verdict.end(), question):
        return False
    # That something is possible does not say that it is so.
    only_possible = (
        verdict["good"] and verdict["good"].casefold() == "possible" and not verdict["no"]
    )
    return not (only_possible and _ASKS_FACT.search(question))


def _denies_in_cjk(said: str) -> bool:
    chinese_or_japanese = r"不|错|錯|否|没|沒|いいえ|正しくな|正しくあ|間違|誤"
    return bool(re.match(rf"{chinese_or_japanese}|아니|그렇지|틀|거짓", said))


def _said_in_word(text: str, ends: list[str]) -> list[tuple[re.Match[str], Evidence]]:
    """The first evidence of a word that says yes or no, as a list of at most one."""
    found = marks(text)
    for pattern in (_DIRECTLY, _ANYWHERE):
        for mark in found:
            passage = re.sub(r"\\(?:text|textbf|mathrm)\s*\{", " ", mark.passage)
            near = passage if pattern is _DIRECTLY else passage.split("\n")[0]
            match = pattern.match(near) if pattern is _DIRECTLY else pattern.search(passage)
            match = match or _CJK_SAID.match(passage)
            if match:
                return [(match, mark.evidence)]
    match = _BEGINS.match(text) or _said_at_first(text, ends) or _said_at_last(ends)
    return [] if match is None else [(match, "conclusion")]


def _said_at_first(text: str, ends: list[str]) -> re.Match[str] | None:
    """The yes or no with which one of the last sentences or ``text`` begins."""
    for sentence in ends[:_LAST]:
        said = _AFTER_BUT.search(sentence) or _AT_FIRST.match(sentence)
        if said := said or _CJK_SAID.match(sentence):
            return said
    return _AT_FIRST.match(text) or _CJK_SAID.match(text)


def _said_at_last(ends: list[str]) -> re.Match[str] | None:
    """The yes or no with which one of the last sentences ends, or that stands on its own."""
    for sentence in ends[:2]:
        for pattern, unless in ((_SAID_LAST, _NOT_SAID), (_SAID_WITHIN, _SAID_BY_OTHERS)):
            match = pattern.search(sentence)
            if match and not unless.search(_CLAUSE.split(sentence[: match.start()])[-1]):
                return match
    return next((m for sentence in ends[:_LAST] if (m := _ON_ITS_OWN.search(sentence))), None)


def _in_one_respect(said: re.Match[str], ends: list[str]) -> bool:
    """Whether a text says yes in one respect and no in another: "in theory, yes"."""
    lead = said.groupdict().get("lead") or ""
    if not _IN_RESPECT.search(lead) or _SETTLES.search(lead):
        return False
    others = [found for sentence in ends[:_LAST] if (found := _IN_ANOTHER.match(sentence))]
    return any(
        bool(_DENIAL.match(found["said"])) != bool(_DENIAL.match(said["said"])) for found in others
    )
