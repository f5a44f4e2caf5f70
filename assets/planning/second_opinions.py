"""Second opinions: a judge reads the responses in which the rules find no answer, each once."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
import polars as pl

from assets.planning.generator_calls import MAX_LISTED_CALLS, answer_reporter
from gradpipe.benchmarks.samples import base_item
from gradpipe.errors import DataError, GradpipeError
from gradpipe.generators.bill import GeneratorBill
from gradpipe.generators.generate import generate
from gradpipe.generators.judge import JudgeConfig, about_judge, of_judge
from gradpipe.responses.second_opinion import (
    OpinionPlan,
    missing_opinions,
    plan_opinions,
    with_opinions,
)
from gradpipe.studies.study import Study
from gradpipe.styles import KNOWLEDGE_STYLES
from storage.workspace import Workspace


@dataclass(frozen=True)
class JudgedResponses:
    """Verdicts on responses (``quality``: QUALITY_SCHEMA), after calls to a judge.

    ``paid_calls`` were made now; ``reasons`` say why some of them failed.
    """

    quality: pl.DataFrame
    paid_calls: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpinionBill:
    """What the second opinions on a benchmark still cost.

    ``bill`` is for the responses that exist. ``most_later`` more requests are possible: one per
    response that is still to be written, if the rules find no answer in any of them.
    """

    bill: GeneratorBill
    most_later: int

    def sentence(self) -> str:
        """Return the estimate in one sentence or two."""
        text = self.bill.sentence() if self.bill.requests else ""
        if self.most_later:
            more = " more" if text else ""
            text += f" At most {self.most_later:,}{more} requests once the responses are written."
        return text.strip()


def ask_judge(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    study: Study,
    items: pl.DataFrame,
    quality: pl.DataFrame,
) -> JudgedResponses:
    """Ask the study's judge about the responses of ``quality`` without a found answer.

    Every reply is stored as it arrives and paid for once. Where a call fails, the rules' verdict
    stays, and the next run asks again. Raises GradpipeError if the judge's server refuses every
    call, and DataError if the budget ends first: replies that arrived are kept.
    """
    judge = study.judge
    if judge is None:
        return JudgedResponses(quality)
    plan = plan_opinions(quality, items, judge)
    paid, reasons = 0, list[str]()
    if plan.calls.height:
        with workspace.lock("generations", judge.model):
            unpaid = _unpaid(workspace, plan)
            paid, reasons = _ask(context, workspace, judge, unpaid)
    for reason in reasons[:MAX_LISTED_CALLS]:
        context.log.warning(f"A second opinion is missing: {reason}.")
    return JudgedResponses(_with_stored(workspace, plan, quality), paid, tuple(reasons))


def stored_opinions(
    workspace: Workspace, judge: JudgeConfig, items: pl.DataFrame, quality: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The verdicts with the replies that the workspace has, and the calls that it does not have."""
    plan = plan_opinions(quality, items, judge)
    return _with_stored(workspace, plan, quality), _unpaid(workspace, plan)


def lacks_opinions(workspace: Workspace, study: Study, benchmark: str) -> int:
    """The number of a benchmark's stored verdicts that wait for the judge."""
    table = workspace.quality(benchmark)
    if study.judge is None or table.notes() is None:
        return 0
    return missing_opinions(table.scan().select("verdict", "judged_by", "judge_reply").collect())


def judged_by_answer(items: pl.DataFrame, calls: pl.DataFrame) -> int:
    """The number of planned responses (PLAN_SCHEMA) that will be compared with a gold answer."""
    with_answer = items.filter(pl.col("answer").is_not_null(), pl.col("family") != "knowledge")
    return (
        calls.filter(~pl.col("style").is_in(KNOWLEDGE_STYLES))
        .with_columns(base_item())
        .join(with_answer.select("item_id"), on="item_id", how="semi")
        .height
    )


def _unpaid(workspace: Workspace, plan: OpinionPlan) -> pl.DataFrame:
    if plan.calls.is_empty():
        return plan.calls
    missing = workspace.generations(plan.model).missing(plan.calls["key"])
    return plan.calls.filter(pl.col("key").is_in(missing)).unique("key", maintain_order=True)


def _with_stored(workspace: Workspace, plan: OpinionPlan, quality: pl.DataFrame) -> pl.DataFrame:
    replies = pl.DataFrame(schema={"key": pl.String, "text": pl.String})
    if plan.calls.height:
        store = workspace.generations(plan.model)
        replies = store.scan(plan.calls["key"]).select("key", "text").collect()
    return with_opinions(quality, plan, replies)


def _ask(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    judge: JudgeConfig,
    unpaid: pl.DataFrame,
) -> tuple[int, list[str]]:
    """Make the calls; return their number, and why some of them failed."""
    if unpaid.is_empty():
        return 0, []
    store = workspace.generations(judge.model)
    try:
        summary = generate(unpaid, judge, store.append, answer_reporter(context, "second opinions"))
        store.compact()
    except GradpipeError as error:
        about_judge(error)
        raise
    context.log.info(f"Second opinions: {summary.sentence()}")
    if summary.left:
        why = of_judge(str(summary.stopped)).rstrip(".")
        raise DataError(
            f"{summary.left} of {summary.calls} second opinions are missing ({why}): fix this, "
            "then run again to request only the missing ones, or remove `judge` from the study."
        )
    return unpaid.height, [of_judge(reason).rstrip(".") for reason in summary.failed.values()]
