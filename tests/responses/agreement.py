"""How often gradpipe's judgments of responses, and those of other tools, agree with a reader's.

``python -m tests.responses.agreement`` prints the table; ``--failures`` also lists the responses
that gradpipe judges otherwise than the reader, and ``--write`` puts the table into the
documentation. The columns of lm-evaluation-harness need the package ``lm_eval``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

from tests.responses.judged_cases import RELEASE_FOLDER, judged_release, judged_written
from tests.responses.other_judges import harness_accepts, has_harness, math_verify_accepts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "judging-agreement.md"
START, END = "<!-- table -->", "<!-- end of table -->"
OURS = {"agrees": "gradpipe", "agrees_of_three": "right, wrong or none"}
OTHERS = {
    "math_verify": "math-verify",
    "harness_strict": "lm-eval, strict",
    "harness_flexible": "lm-eval, flexible",
}


def agreement(judged: pl.DataFrame) -> pl.DataFrame:
    """Count the cases per kind and the shares that agree: ``kind, cases, agrees, ...``.

    A judgment agrees if it accepts the responses that the reader labeled right, and no others.
    ``agrees_of_three`` also distinguishes a wrong answer from none.
    """
    agrees = pl.col("accepted") == (pl.col("label") == "right")
    others = [name for name in OTHERS if name in judged.columns]
    shares = {
        "agrees": agrees,
        "agrees_of_three": pl.col("said") == pl.col("label"),
        **{name: pl.col(name) == (pl.col("label") == "right") for name in others},
    }
    return judged.group_by("kind", maintain_order=True).agg(
        pl.len().alias("cases"), *(share.mean().alias(name) for name, share in shares.items())
    )


def failures(judged: pl.DataFrame) -> pl.DataFrame:
    """The responses that are accepted against the reader's label, or held back against it."""
    return judged.filter(pl.col("accepted") != (pl.col("label") == "right"))


def with_other_judges(judged: pl.DataFrame) -> pl.DataFrame:
    """Add one column per other judge that is installed: whether it accepts the response."""
    judges: dict[str, Callable[[str, str, str], bool]] = {
        "math_verify": lambda text, gold, _question: math_verify_accepts(text, gold)
    }
    if has_harness():
        judges["harness_strict"] = lambda *case: harness_accepts(*case, strict=True)
        judges["harness_flexible"] = lambda *case: harness_accepts(*case, strict=False)
    cases = list(judged.select("text", "gold", "question").iter_rows())
    return judged.with_columns(
        pl.Series(name, [judge(*case) for case in cases], dtype=pl.Boolean)
        for name, judge in judges.items()
    )


def markdown(judged: pl.DataFrame) -> str:
    """The table of agreement per kind, then of each origin and round, then of everything."""
    totals = [
        agreement(part.with_columns(pl.lit(title).alias("kind")))
        for title, part in (
            ("**all written**", judged.filter(pl.col("origin") == "written")),
            ("**all of the release**", judged.filter(pl.col("origin") == "release")),
            ("**round 1**", judged.filter(pl.col("round") == 1)),
            ("**round 2, release**", judged.filter(pl.col("round") == 2)),
            ("**round 3**", judged.filter(pl.col("round") == 3)),
            ("**round 4**", judged.filter(pl.col("round") == 4)),
            ("**round 5**", judged.filter(pl.col("round") == 5)),
            ("**all**", judged),
        )
        if part.height
    ]
    titles = {"kind": "kind", "cases": "cases", **OURS, **OTHERS}
    lines = [
        f"| {' | '.join(titles.values())} |",
        f"|---|{'---:|' * (len(titles) - 1)}",
    ]
    for row in pl.concat([agreement(judged), *totals]).iter_rows(named=True):
        shares = [_percent(row.get(name)) for name in (*OURS, *OTHERS)]
        lines.append(f"| {row['kind'].replace('_', ' ')} | {row['cases']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "not installed" if share is None else f"{share:.1%}"


def main() -> None:
    """Print the table; see the module's docstring for the options."""
    parts = [judged_written()]
    if RELEASE_FOLDER.is_dir():
        parts.append(judged_release())
    else:
        print(f"The release's responses are left out: {RELEASE_FOLDER} is not there.")
    judged = with_other_judges(pl.concat(parts))
    table = markdown(judged)
    print(table)
    if "--failures" in sys.argv[1:]:
        for row in failures(judged).iter_rows(named=True):
            print(
                f"{row['id']}, round {row['round']}: label {row['label']},"
                f" {row['verdict']} ({row['found_answer']!r})"
            )
    if "--write" in sys.argv[1:]:
        before, _, rest = PAGE.read_text("utf-8").partition(START)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{START}\n{table}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
