"""Quality gates: whether a response agrees with the gold answer, and whether it is an answer."""

import re

import polars as pl

from gradpipe.check import Check
from gradpipe.conversations.generated_text import divide_generated
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer, stated_before_cut
from gradpipe.responses.token_counts import CountTokens
from gradpipe.styles import GIVEN, KNOWLEDGE_STYLES, LENGTH_STYLES, QUALITY_STYLES, style_enum

#: Possible verdicts on a response; only the first is a pass.
VERDICTS = (
    "passed",
    "answer_differs",
    "no_answer",
    "refusal",
    "cut_off",
    "off_length",
    "empty",
    "no_thinking",
)

#: A knowledge response is off length below or above these multiples of its target length. The
#: release's texts, cut at sentence ends, have 0.8 to 1.6 (length_100, 5th and 95th percentile) or
#: 0.8 to 1.0 times the target.
SHORTEST, LONGEST = 0.5, 1.6

#: Styles with only a bare answer, part of a response, or whatever the data give: length and ending
#: are not checked.
_BARE = ("none", "none_padded", GIVEN, *QUALITY_STYLES)
_CUT = "detailed_cut"

_DECLINES = (
    r"(?:can(?:not|['’]t| not)|could(?: not|n['’]t)|won['’]t|will not|am (?:not able|unable|not "
    r"allowed|not permitted)|['’]m (?:not able|unable|not allowed|not permitted))"
)
_DONE = (
    r"(?:help|assist|answer|provide|comply|fulfil+|complete|do that|continue|create|generate|write"
    r"|discuss|engage|support|respond|process|give|offer|share|produce|browse|access|satisfy)"
)
_REFUSAL = re.compile(
    r"(?i)"
    # At the start, in the writer's own voice: "I'm sorry, but I can't help with that."
    r"^[\s*#>]*(?:(?:(?:I['’]m|I am|we['’]re) (?:very |so |truly )?sorry|sorry|I apologi[sz]e"
    r"|(?:my )?apologies|unfortunately)\b[^.!?\n]{0,60}?\bI\s*"
    rf"{_DECLINES}|I\s*{_DECLINES}(?:\s+\w+){{0,2}}?\s+(?:to\s+)?{_DONE}\b"
    r"|I (?:must|have to|need to) (?:decline|refuse)|I (?:respectfully )?decline\b|I refuse to)"
    # Anywhere: the writer says that it is an AI.
    r"|\bas an? (?:AI|artificial intelligence)(?: (?:language )?model| assistant)?\s*,?\s*I\b"
    rf"|\bI(?:['’]m| am) (?:only |just )?an? (?:AI|language model)\b[^.!?\n]{{0,80}}\b{_DECLINES}"
)

_ENDS = re.compile(r"(?:[.!?…:;)\]}\"'”’*`$|%\d]|\\\])$")
_OPENED, _CLOSED = re.compile(r"\\\[|\\\("), re.compile(r"\\\]|\\\)")
_SAYS_SO = re.compile(r"(?i)\bboxed\{[^{}]*\}|\banswer\b")
#: An entry of a list in one sentence. Where the one before has no full stop, the last needs none.
_ENTRY = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s(?!.*[.!?][\"'*]*\s)")
#: Maximum words of a last line that counts as a list entry or an answer; maximum characters of a
#: formula.
_SHORT_LINE, _SHORT_FORMULA = 8, 400


def judge_responses(
    responses: pl.DataFrame, count_tokens: CountTokens | None = None
) -> pl.DataFrame:
    """Add the columns ``verdict`` (one of VERDICTS) and ``found_answer`` to ``responses``.

    ``responses`` has ``style``, ``family``, ``answer``, ``text`` and ``finish_reason``; answer and
    finish reason may be null. An optional ``instruction`` lists the options of a question. The
    checks run in this order. A response without text is empty. A refusal is a refusal whatever else
    it says. A response that a limit ended is cut off; so is reasoning with an unknown finish reason
    that stops within a sentence or formula. Reasoning that states its final answer before a limit
    ends it is compared nevertheless. Knowledge outside SHORTEST to LONGEST times its style's
    tokens is off length; this check needs ``count_tokens``. Reasoning is compared with its gold
    answer, if it has one. A ``none`` response, and whatever the data give, is only compared, and a
    ``detailed_cut`` response needs no answer.

    Only the answer after a think block is judged, in every style: an answer within the thinking is
    not the final answer. A response whose think block is not closed is cut off, and a ``thinking``
    response without thinking has the verdict ``no_thinking``.
    """
    columns = ["style", "family", "answer", "text", "finish_reason", "instruction"]
    table = responses.select(
        pl.col(name) if name in responses.columns else pl.lit(None, dtype=pl.String).alias(name)
        for name in columns
    )
    parts = [divide_generated(text or "") for text in table["text"]]
    table = table.with_columns(
        pl.Series("text", [part.answer for part in parts], dtype=pl.String),
        pl.Series("reasoning", [part.reasoning for part in parts], dtype=pl.String),
        pl.Series("closed", [part.closed for part in parts], dtype=pl.Boolean),
    )
    off_length = _off_length(table, count_tokens).alias("off_length")
    judged = [_judge(**row) for row in table.with_columns(off_length).iter_rows(named=True)]
    return responses.with_columns(
        pl.Series("verdict", [verdict for verdict, _ in judged], dtype=pl.String),
        pl.Series("found_answer", [found for _, found in judged], dtype=pl.String),
    )


def is_refusal(text: str) -> bool:
    """Whether the writer declines to answer; "I'm sorry" in a story does not count."""
    return bool(_REFUSAL.search(text))


def is_unfinished(text: str) -> bool:
    """Whether ``text`` stops within a formula or a sentence; a last list entry is an ending."""
    body = text.rstrip()
    near_end = body[-_SHORT_FORMULA:]
    opened = max((found.start() for found in _OPENED.finditer(near_end)), default=-1)
    closed = max((found.start() for found in _CLOSED.finditer(near_end)), default=-1)
    if opened > closed or body.endswith(("\\", ",", "=", "+")):
        return True
    *above, last_line = body.rsplit("\n", 2)[-2:]
    if _ENTRY.match(last_line) and above and _ENTRY.match(above[0]) and not _ENDS.search(above[0]):
        return False
    within = not _ENDS.search(body) and len(last_line.split()) > _SHORT_LINE
    return within and not _SAYS_SO.search(last_line)


def summarize_verdicts(judged: pl.DataFrame) -> pl.DataFrame:
    """Count the responses per style and verdict: ``style, verdict, responses, rate``.

    One row per combination that occurs, sorted by style and by VERDICTS; rates add up to 1 per
    style.
    """
    counts = judged.group_by("style", "verdict", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("responses")
    )
    return counts.with_columns(
        (pl.col("responses") / pl.col("responses").sum().over("style")).alias("rate")
    ).sort(
        pl.col("style").cast(style_enum(counts["style"])), pl.col("verdict").cast(pl.Enum(VERDICTS))
    )


def check_quality(judged: pl.DataFrame, limit: float) -> Check:
    """Whether at most ``limit`` (a share, 0 to 1) of each style's responses fail the gates."""
    styles = (
        judged.group_by("style", maintain_order=True)
        .agg(
            (pl.col("verdict") != "passed").mean().alias("failed"),
            pl.col("verdict").filter(pl.col("verdict") != "passed").mode().sort().first(),
        )
        .sort(pl.col("style").cast(style_enum(judged["style"])))
    )
    notes = [
        f"{style} {failed:.1%}" + (f" (mostly {verdict.replace('_', ' ')})" if failed else "")
        for style, failed, verdict in styles.iter_rows()
    ]
    return Check(
        "answers_agree",
        bool((styles["failed"] <= limit).all()),
        f"held back: {', '.join(notes)}; at most {limit:.1%} may be"
        if notes
        else "there are no responses to judge",
        dict(styles.select("style", "failed").iter_rows()),
    )


def _judge(
    *,
    style: str,
    family: str,
    answer: str | None,
    text: str,
    finish_reason: str | None,
    instruction: str | None,
    reasoning: str | None,
    closed: bool,
    off_length: bool | None,
) -> tuple[str, str | None]:
    if not closed or not text.strip():
        return ("cut_off" if not closed or finish_reason == "length" else "empty"), None
    knowledge = style in KNOWLEDGE_STYLES or family == "knowledge"
    gold = None if knowledge or style == _CUT else answer
    fault = "no_thinking" if style == "thinking" and reasoning is None else None
    if fault is None and style not in _BARE:
        guess = finish_reason is None and style != _CUT and not knowledge
        cut_off = finish_reason == "length" or (guess and is_unfinished(text))
        fault = _fault(text, cut_off, bool(off_length))
    stated = fault == "cut_off" and finish_reason == "length"
    if gold is None or (fault and not stated):
        return fault or "passed", None
    find = stated_before_cut if stated else final_answer
    found = find(text, gold, instruction)
    if found is None:
        return fault or "no_answer", None
    return ("passed" if same_answer(found, gold) else "answer_differs"), found


def _fault(text: str, cut_off: bool, off_length: bool) -> str | None:
    if is_refusal(text):
        return "refusal"
    if cut_off:
        return "cut_off"
    return "off_length" if off_length else None


def _off_length(table: pl.DataFrame, count_tokens: CountTokens | None) -> pl.Series:
    wanted = table["style"].replace_strict(LENGTH_STYLES, default=None, return_dtype=pl.Float64)
    if count_tokens is None or wanted.null_count() == len(wanted):
        return pl.repeat(None, table.height, dtype=pl.Boolean, eager=True)
    texts = table["text"].fill_null("").to_list()
    share = pl.Series(count_tokens(texts), dtype=pl.Float64) / wanted
    return (share < SHORTEST) | (share > LONGEST)
