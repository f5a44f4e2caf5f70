"""The findings: questions answered in plain sentences from the tables, and nothing beyond them.

An answer is "yes" or "no" where every model × benchmark pair with enough examples agrees, "mixed"
where they differ, "undecided" where none has enough. It compares the means as measured: it is no
test of significance, and the page says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import polars as pl

from gradpipe.report import look
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.shape import IS_KNOWLEDGE, distinct, finite
from gradpipe.responses.styles import KNOWLEDGE_STYLES, REASONING_STYLES

Answer = Literal["yes", "no", "mixed", "undecided"]

#: With fewer examples than this behind a mean, nothing is said of it.
FEWEST_EXAMPLES = 3

_SPOKEN = {
    "none": "without chain of thought",
    "simplified": "with a simplified one",
    "detailed": "with a detailed one",
}


@dataclass(frozen=True)
class Finding:
    """One question, its answer over all pairs, a summary sentence, and a sentence a pair."""

    question: str
    answer: Answer
    summary: str
    details: tuple[str, ...]


def findings(inputs: ReportInputs) -> list[Finding]:
    """What the tables say, question by question; questions they hold nothing on are left out."""
    found = (
        smoother_with_thought(inputs),
        irrelevant_stands_out(inputs),
        smoother_with_length(inputs),
    )
    return [finding for finding in found if finding is not None]


def smoother_with_thought(inputs: ReportInputs) -> Finding | None:
    """Is MAD(none) > MAD(simplified) > MAD(detailed), for every projection?"""
    return _falling_mad(
        inputs,
        REASONING_STYLES,
        question="Are the curves smoother the more a response thinks?",
        claim="the MAD of the nuclear-norm curve falls with each step towards detailed "
        "chain of thought",
        say=lambda style: _SPOKEN[style],
    )


def smoother_with_length(inputs: ReportInputs) -> Finding | None:
    """Does MAD fall with the length of the answer, where only knowledge is asked for?"""
    return _falling_mad(
        inputs,
        KNOWLEDGE_STYLES[:3],
        question="Are the curves smoother for longer answers where only knowledge is asked for?",
        claim="the MAD of the nuclear-norm curve falls with each step of the answer's length",
        say=lambda style: f"at {look.style_label(style)}",
    )


def irrelevant_stands_out(inputs: ReportInputs) -> Finding | None:
    """Is RD(irrelevant from correct) larger for detailed than for none, for every projection?"""
    rd = inputs.rd.with_columns(finite("rd")).filter(pl.col("rd").is_not_null())
    examples = _examples(inputs.curves, ("correct", "irrelevant"))
    pairs = _pairs(rd, "rd", ("none", "detailed"))
    answers, details = [], []
    for model, benchmark, wide in pairs:
        holds = _split(wide, pl.col("detailed") > pl.col("none"))
        counts = _counts(examples, model, benchmark, ("none", "detailed"))
        answers.append(_answer(holds, counts))
        first = wide.row(0, named=True)
        details.append(
            f"On {benchmark}, the curve of irrelevant responses differs from that of correct ones "
            f"by {_percent(first['none'])} without chain of thought and by "
            f"{_percent(first['detailed'])} with a detailed one "
            f"(RD of the nuclear norm, {first['projection']}; {model}; {_many(counts)})"
            f"{_larger(inputs.curves, model, benchmark, first['projection'])}. "
            + _holding("RD is larger for detailed than for none", holds, counts)
        )
    return _finding(
        "Do irrelevant responses stand out more when the response thinks in detail?",
        "irrelevant responses differ more from correct ones in detailed chain of thought than "
        "without any",
        answers,
        details,
    )


def length_note(rows: pl.DataFrame) -> str | None:
    """How long the responses of each style were, and what that means for comparing them."""
    means = rows.filter(
        pl.col("relevance") == "correct",
        pl.col("mean_response_tokens").is_finite(),
        pl.col("examples") > 0,
        ~IS_KNOWLEDGE,
    )
    means = means.group_by("style").agg(
        (pl.col("mean_response_tokens") * pl.col("examples")).sum() / pl.col("examples").sum()
    )
    lengths: dict[str, float] = dict(means.rows())
    if len(lengths) < 2:
        return None
    told = [f"{lengths[s]:.0f} tokens ({s})" for s in look.in_order("style", list(lengths))]
    return (
        f"Responses also differ in length, on average {_listed(told)}. The loss is a mean over "
        "response tokens, which ties the size of a gradient to length: part of a difference "
        "between styles may be one of length."
    )


def _falling_mad(
    inputs: ReportInputs,
    styles: Sequence[str],
    question: str,
    claim: str,
    say: Callable[[str], str],
) -> Finding | None:
    mad = inputs.mad.with_columns(finite("mad")).filter(
        pl.col("segment") == "all", pl.col("relevance") == "correct", pl.col("mad").is_not_null()
    )
    examples = _examples(inputs.curves, ("correct",))
    answers, details = [], []
    for model, benchmark, wide in _pairs(mad, "mad", styles):
        present = [style for style in styles if style in wide.columns]
        falls = pl.all_horizontal(pl.col(a) > pl.col(b) for a, b in pairwise(present))
        holds = _split(wide, falls)
        counts = _counts(examples, model, benchmark, present)
        answers.append(_answer(holds, counts))
        first = wide.row(0, named=True)
        told = _listed([f"{look.number(first[style])} {say(style)}" for style in present])
        order = " > ".join(look.style_label(style) for style in present)
        details.append(
            f"On {benchmark}, the MAD of the nuclear-norm curve is {told} "
            f"({first['projection']}; {model}; {_many(counts)}). "
            + _holding(f"The order {order}", holds, counts)
        )
    return _finding(question, claim, answers, details)


def _pairs(
    frame: pl.DataFrame, value: str, styles: Sequence[str]
) -> list[tuple[str, str, pl.DataFrame]]:
    """Each model × benchmark that has two styles or more: a row a projection, a column a style."""
    frame = frame.filter(
        pl.col("statistic") == look.DEFAULT_STATISTIC, pl.col("style").is_in(list(styles))
    )
    pairs = []
    for model in distinct(frame, "model"):
        of_model = frame.filter(pl.col("model") == model)
        for benchmark in distinct(of_model, "benchmark"):
            rows = of_model.filter(pl.col("benchmark") == benchmark)
            present = [s for s in styles if s in set(rows.get_column("style"))]
            order = {p: i for i, p in enumerate(distinct(rows, "projection"))}
            values = [pl.col(value).filter(pl.col("style") == s).first().alias(s) for s in present]
            wide = rows.group_by("projection").agg(values).drop_nulls()
            wide = wide.sort(pl.col("projection").replace_strict(order, return_dtype=pl.Int64))
            if len(present) > 1 and not wide.is_empty():
                pairs.append((model, benchmark, wide))
    return pairs


def _examples(curves: pl.DataFrame, relevances: Sequence[str]) -> pl.DataFrame:
    """The fewest examples behind any mean of a model × benchmark × style."""
    used = curves.filter(
        pl.col("statistic") == look.DEFAULT_STATISTIC, pl.col("relevance").is_in(list(relevances))
    )
    return used.group_by("model", "benchmark", "style").agg(pl.col("examples").min())


def _counts(
    examples: pl.DataFrame, model: str, benchmark: str, styles: Sequence[str]
) -> tuple[int, int]:
    counts = examples.filter(
        pl.col("model") == model,
        pl.col("benchmark") == benchmark,
        pl.col("style").is_in(list(styles)),
        pl.col("examples").is_not_null(),
    )["examples"].to_list()
    return (min(counts), max(counts)) if len(counts) == len(styles) else (0, 0)


def _split(wide: pl.DataFrame, condition: pl.Expr) -> tuple[list[str], list[str]]:
    """The projections for which the condition holds, and those for which it does not."""
    judged = wide.select("projection", condition.alias("holds"))
    yes = judged.filter("holds").get_column("projection").to_list()
    return yes, judged.filter(~pl.col("holds")).get_column("projection").to_list()


def _answer(holds: tuple[list[str], list[str]], counts: tuple[int, int]) -> Answer:
    if counts[0] < FEWEST_EXAMPLES:
        return "undecided"
    yes, no = holds
    return "mixed" if yes and no else "yes" if yes else "no"


def _holding(subject: str, holds: tuple[list[str], list[str]], counts: tuple[int, int]) -> str:
    if counts[0] < FEWEST_EXAMPLES:
        return f"Undecided: fewer than {FEWEST_EXAMPLES} examples stand behind a mean."
    yes, no = holds
    verb = "holds " if subject.startswith("The order") else ""
    if not yes:
        return f"{subject}: for no projection."
    return f"{subject} {verb}for {_listed(yes)}{f', not for {_listed(no)}' if no else ''}."


def _finding(
    question: str, claim: str, answers: list[Answer], details: list[str]
) -> Finding | None:
    if not answers:
        return None
    decided = [answer for answer in answers if answer != "undecided"]
    if not decided:
        few = f"Undecided: fewer than {FEWEST_EXAMPLES} examples stand behind a mean."
        return Finding(question, "undecided", few, tuple(details))
    overall: Answer = decided[0] if len(set(decided)) == 1 else "mixed"
    summary = f"Holds {_where(decided)}: {claim}."
    if len(answers) > len(decided):
        summary += f" {len(answers) - len(decided)} more undecided, for want of examples."
    return Finding(question, overall, summary, tuple(details))


def _where(decided: Sequence[Answer]) -> str:
    """On how many model × benchmark pairs a claim holds, and for how many projections there."""
    pairs = len(decided)
    extents = {"yes": "every projection", "mixed": "some projections", "no": "no projection"}
    said = [
        (extent, decided.count(answer)) for answer, extent in extents.items() if answer in decided
    ]
    if len(said) == 1:
        every = {1: "the one", 2: "both"}.get(pairs, f"all {pairs}")
        return f"for {said[0][0]} on {every} model × benchmark pair{'s' if pairs > 1 else ''}"
    parts = _listed([f"for {extent} on {count}" for extent, count in said])
    return f"{parts} of {pairs} model × benchmark pairs"


def _larger(curves: pl.DataFrame, model: str, benchmark: str, projection: str) -> str:
    """In how many layers irrelevant detailed responses have the larger mean."""
    of_pair = curves.filter(
        pl.col("model") == model,
        pl.col("benchmark") == benchmark,
        pl.col("projection") == projection,
        pl.col("statistic") == look.DEFAULT_STATISTIC,
        pl.col("style") == "detailed",
    )
    layers = of_pair.group_by("layer").agg(
        pl.col("mean").filter(pl.col("relevance") == r).first().alias(r)
        for r in ("correct", "irrelevant")
    )
    layers = layers.filter(pl.col("correct").is_not_null(), pl.col("irrelevant").is_not_null())
    if layers.is_empty():
        return ""
    larger = layers.filter(pl.col("irrelevant") > pl.col("correct")).height
    return f"; there, irrelevant has the larger mean in {larger} of {layers.height} layers"


def _many(counts: tuple[int, int]) -> str:
    least, most = counts
    if least == most:
        return f"{least} example{'' if least == 1 else 's'} a style"
    return f"{least} to {most} examples a style"


def _percent(share: float) -> str:
    return f"{look.number(100 * share)} %"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
