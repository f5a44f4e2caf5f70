"""Find whether a response says yes or no: said in a word, or as a verdict on the statement."""

import re

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
)
_SAID = (
    r"(?P<said>(?:absolutely|definitely|certainly|of course|probably) not|not (?:really|at all)"
    r"|no way"
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
_AT_FIRST = re.compile(
    rf"(?i)\W*(?:(?:therefore|thus|hence|so|in conclusion|(?:final )?conclusion|in summary"
    rf"|summary|overall"
    rf"|\w+ly(?: speaking)?|pretty much|more or less|for the most part|in a (?:sense|way)"
    rf"|option|decision|verdict|final \w+|in short|well|ultimately"
    rf"|finally|{_HEDGE})\W+)*{_SAID}"
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
    rf"^[\s*、,。:\"]*(?:所以|因此|答案|综上|总之|よって|したがって|结论|結論)?[、,是为:\s]*(?P<said>{_CJK})"
    r"(?=[\s*。、,.!:\"]|$|的|です)"
)
_CJK_VERDICT = re.compile(
    r"(?P<bad>(?:是|为|為)?(?:错误?|錯誤?|假|不正[确確]|不[对對]|不成立)的?|间違い|間違っています|誤り|正しくありません|正しくない"
    r"|できません|ではありません)|(?P<good>(?:是|为|為)?(?:正[确確]|[对對]|真|成立)的?|正しいです|正しい|できます)"
)
_VERDICT = re.compile(
    r"(?i)\b(?:(?:is|are|was|were|be|been|as|seems|appears|remains|does|do|did|it|sentence|holds"
    r"|makes?"
    r"|making|rings|considered|claim|statement)\b|\w+n't\b)"
    r"(?P<no>\W+(?:not|never|neither|cannot be|hardly|no longer)\b"
    r"|(?<=n't))?(?:,? (?:for the most part|by and large|more or less),?)?(?:\W+(?!not\b"
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
        negated = bool(found.groupdict().get("no"))
        said = found["said"]
        denies = bool(re.search(r"(?i)^(?:no|false|incorrect|wrong)|not$", said)) or _denies_in_cjk(
            said
        )
        return FoundAnswer(words[denies != negated], evidence, said)
    for sentence in ends[:2]:
        judged = [one for one in _VERDICT.finditer(sentence) if _judges(one, sentence, question)]
        if judged:
            good = (judged[-1]["bad"] is None) == (judged[-1]["no"] is None)
            opposite = _ASKS_OPPOSITE.search(question) and _OF_CHANCE.search(judged[-1][0])
            return FoundAnswer(words[good == bool(opposite)], "conclusion", "")
        judged = list(_CJK_VERDICT.finditer(sentence))
        if judged:
            return FoundAnswer(words[judged[-1]["bad"] is not None], "conclusion", "")
    verdict = verdict_on_question(text, question)
    return None if verdict is None else FoundAnswer(words[not verdict], "conclusion", "")


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
    return bool(re.match(r"不|错|錯|否|没|沒|いいえ|正しくな|正しくあ|間違|誤", said))


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
    if match := _BEGINS.match(text):
        return [(match, "conclusion")]
    for sentence in (*ends[:4], text):
        if match := _AT_FIRST.match(sentence) or _CJK_SAID.match(sentence):
            return [(match, "conclusion")]
    for sentence in ends[:2]:
        for pattern, unless in ((_SAID_LAST, _NOT_SAID), (_SAID_WITHIN, _SAID_BY_OTHERS)):
            match = pattern.search(sentence)
            if match and not unless.search(_CLAUSE.split(sentence[: match.start()])[-1]):
                return [(match, "conclusion")]
    for sentence in ends[:4]:
        if match := _ON_ITS_OWN.search(sentence):
            return [(match, "conclusion")]
    return []
