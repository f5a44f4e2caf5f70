"""A second opinion on responses in which the rules find no final answer.

A judge, which is a language model, only extracts: it reads the question and the response, and
replies with the final answer of the response. The rules then compare that answer with the gold one,
which the judge never sees.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from gradpipe.benchmarks.samples import base_item
from gradpipe.check import Check
from gradpipe.conversations.generated_text import divide_generated
from gradpipe.generators.calls import GENERATOR_VERSION, PLAN_SCHEMA
from gradpipe.generators.judge import JUDGE_STYLE, JudgeConfig, load_judge_prompt
from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import final_answer
from gradpipe.responses.final_answer.kinds import answer_kind
from gradpipe.responses.written import RULES
from gradpipe.system.hashing import content_hash

#: Part of the version of every examples table with a judge: increase it when the same replies lead
#: to other verdicts.
OPINIONS_VERSION = "1"

_NONE = re.compile(r"(?i)[\W_]*none[\W_]*")
_LEAD = re.compile(r"(?i)^\W*(?:the )?(?:final |correct )?answer\b(?: is|:)?[\s:*]*")
_DIGITS = re.compile(r"\d+")
_SEPARATED = re.compile(r"(?<=\d)(?:[,.'’_\s]|\{,\}|\\,)(?=\d)")
#: The most characters of a reply, and the most words by kind of answer: a longer reply is not an
#: answer alone.
_MOST_CHARACTERS, _MOST_WORDS = 200, {"yes_no": 2, "label": 3, "number": 4, "option": 12}


class Opinion(NamedTuple):
    """The final answer of a response that a judge found; None if the response has no answer.

    ``usable`` is false for a reply that is neither an answer of the kind nor NONE.
    """

    found: str | None
    usable: bool = True


@dataclass(frozen=True)
class OpinionPlan:
    """Responses in which the rules found no answer, and the calls that ask the judge about them.

    ``calls`` is PLAN_SCHEMA; equal prompts share a key. ``responses`` has the call's ``key``, the
    ``row`` of the response in the table of verdicts, its ``instruction``, its gold ``answer`` and
    its ``text`` without thinking, in the order of ``calls``. ``model`` is the judge's.
    """

    responses: pl.DataFrame
    calls: pl.DataFrame
    model: str


def plan_opinions(quality: pl.DataFrame, items: pl.DataFrame, judge: JudgeConfig) -> OpinionPlan:
    """Plan one call per response of ``quality`` (QUALITY_SCHEMA) with the verdict ``no_answer``.

    ``items`` (ITEM_SCHEMA) have the questions. The prompt has the question, the response without
    its thinking, and the form of the answer, but not the gold answer itself. Raises DataError for
    an invalid prompt, ModelError for a missing local model.
    """
    questions = items.select("item_id", "benchmark", "instruction").unique("item_id")
    table = (
        quality.with_row_index("row")
        .filter(pl.col("verdict") == "no_answer", pl.col("answer").is_not_null())
        .select("row", "item_id", "answer", "text")
        .with_columns(base_item().alias("base"))
        .join(questions, left_on="base", right_on="item_id", maintain_order="left")
    )
    answers = [divide_generated(text).answer for text in table["text"]]
    table = table.with_columns(pl.Series("text", answers, dtype=pl.String))
    calls = pl.DataFrame(list(_calls(table, judge)), schema=PLAN_SCHEMA)
    return OpinionPlan(table.with_columns(calls["key"]), calls, judge.model)


def with_opinions(quality: pl.DataFrame, plan: OpinionPlan, replies: pl.DataFrame) -> pl.DataFrame:
    """Give the responses of ``plan`` the verdicts that follow from the judge's ``replies``.

    ``replies`` has ``key`` and ``text``; planned calls without a reply are allowed. In the result,
    ``judged_by`` is RULES or the judge's model, and ``judge_reply`` the beginning of the reply. An
    answer that the judge found is compared with the gold one by the rules. If it replies NONE, the
    verdict stays ``no_answer``, and is the judge's. It stays the rules' without a reply, and for a
    reply that is not an answer of the kind: one that is too long, or a number that a response with
    digits does not have.
    """
    answered = plan.responses.join(
        replies.select("key", pl.col("text").alias("reply")), on="key", maintain_order="left"
    )
    verdicts = [(row["row"], *_verdict(row, plan.model)) for row in answered.iter_rows(named=True)]
    schema = {"row": pl.UInt32, **dict.fromkeys(_CHANGED, pl.String)}
    changes = pl.DataFrame(verdicts, schema=schema, orient="row")
    return (
        quality.with_columns(judged_by=pl.lit(RULES), judge_reply=pl.lit(None, dtype=pl.String))
        .with_row_index("row")
        .update(changes, on="row", how="left")
        .select(quality.columns)
    )


def read_opinion(reply: str, response: str, gold: str, question: str) -> Opinion:
    """Read a judge's reply about a response; only the kind of the gold answer is used."""
    text = divide_generated(reply).answer.strip()
    if _NONE.fullmatch(text):
        return Opinion(None)
    bare = _LEAD.sub("", text)
    most_words = _MOST_WORDS.get(answer_kind(gold), _MOST_CHARACTERS)
    if len(bare) > _MOST_CHARACTERS or len(bare.split()) > most_words:
        return Opinion(None, usable=False)
    found = final_answer(bare, gold, question)
    if found is None or _is_made_up(found, response):
        return Opinion(None, usable=False)
    return Opinion(found)


def missing_opinions(quality: pl.DataFrame) -> int:
    """Count the responses that wait for the judge's reply: its call failed."""
    if "judged_by" not in quality.columns:
        return 0
    return quality.filter(
        pl.col("judged_by") == RULES,
        pl.col("verdict") == "no_answer",
        pl.col("judge_reply").is_null(),
    ).height


def check_opinions(quality: pl.DataFrame, reasons: Sequence[str] = ()) -> Check:
    """Whether the judge replied about each response that it was asked about.

    ``reasons`` say why replies are missing, for those of this run.
    """
    counts = quality.select(
        asked=pl.col("judge_reply").is_not_null().sum(),
        judged=(pl.col("judged_by") != RULES).sum(),
        passed=((pl.col("judged_by") != RULES) & (pl.col("verdict") == "passed")).sum(),
    ).row(0, named=True)
    missing = missing_opinions(quality)
    note = (
        f"{counts['judged']} verdicts are the judge's, {counts['passed']} of them passed"
        if counts["asked"]
        else "no verdict is a judge's"
    )
    if missing:
        why = f" ({reasons[0].rstrip('.')})" if reasons else ""
        note += (
            f"; {missing} second opinions are missing{why}, so the rules' verdict stays: run again "
            "to ask for them"
        )
    return Check("second_opinions", not missing, note, {**counts, "missing": missing})


_CHANGED = ("verdict", "found_answer", "judged_by", "judge_reply")


def _verdict(row: dict[str, Any], model: str) -> tuple[str, str | None, str, str | None]:
    """The columns _CHANGED of a response."""
    reply = row["reply"]
    if reply is None:
        return "no_answer", None, RULES, None
    opinion = read_opinion(reply, row["text"], row["answer"], row["instruction"] or "")
    kept = reply[:_MOST_CHARACTERS]
    if opinion.found is None:
        return "no_answer", None, model if opinion.usable else RULES, kept
    same = same_answer(opinion.found, row["answer"])
    return "passed" if same else "answer_differs", opinion.found, model, kept


def _calls(responses: pl.DataFrame, judge: JudgeConfig) -> Iterator[dict[str, Any]]:
    if responses.is_empty():
        return
    template = load_judge_prompt(judge.prompt)
    own = judge.request_settings(JUDGE_STYLE)
    settings = {**judge.identity(), **own, "max_tokens": judge.most_tokens}
    for row in responses.iter_rows(named=True):
        texts = {
            "item_id": row["item_id"],
            "benchmark": row["benchmark"],
            "instruction": (row["instruction"] or "").strip() or "(no question)",
            "response": row["text"],
            "form": _form(row["answer"]),
        }
        messages = template.messages(texts)
        yield {
            # As for a generator: without item and benchmark.
            "key": content_hash(GENERATOR_VERSION, messages, settings),
            "item_id": row["item_id"],
            "benchmark": row["benchmark"],
            "style": JUDGE_STYLE,
            "prompt_hash": template.hash,
            "messages": json.dumps(messages, ensure_ascii=False),
            "model": judge.model,
            "settings": json.dumps(settings, sort_keys=True),
            "max_tokens": judge.most_tokens,
        }


def _form(gold: str) -> str:
    """The form of the answer that a response should give, which says nothing of its value."""
    kind = answer_kind(gold)
    if kind == "yes_no":
        true_or_false = gold.strip(" .").casefold() in ("true", "false")
        return "true or false" if true_or_false else "yes or no"
    if kind == "label":
        return f'the word "{gold.split(maxsplit=1)[0]}" and a letter'
    forms = {
        "option": "the letter of one of the options, in parentheses",
        "number": "a number, in digits",
        "formula": "a mathematical expression, in LaTeX",
    }
    return forms.get(kind, "a word or a short phrase")


def _is_made_up(found: str, response: str) -> bool:
    """Whether an answer has numbers that a response with digits does not have.

    A judge that solves the question itself returns such numbers. Without digits, the response may
    spell its number.
    """
    written = _SEPARATED.sub("", response)
    numbers = _DIGITS.findall(_SEPARATED.sub("", found))
    return bool(_DIGITS.search(written)) and any(number not in written for number in numbers)
