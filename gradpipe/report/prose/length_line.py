"""One line about a claim on two styles: its ratio with length controlled for, and what remains."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from gradpipe.claims.length.survival import Survival
from gradpipe.report.prose.phrases import count_text, range_text, short_number

#: What the word beside a verdict on two styles means.
HOW_SURVIVAL_IS_JUDGED = (
    "A verdict on two styles survives length control if the claim is decided the same way at equal "
    "length (by responses of matched length, and by a regression where the lengths overlap), as "
    "measured, and on the summed loss. It is reversed if equal length decides the opposite. It "
    "cannot be told if nothing compares the styles at equal length. Padded answers count only if "
    "at least half of their loss tokens are the answer’s."
)

#: The four figures of the line, in its order.
_FIGURES = {
    "measured": "as measured",
    "matched": "at matched length",
    "regression": "by regression",
    "summed_loss": "on the summed loss",
}
#: What follows a figure that does not decide as the verdict does.
_OUTCOMES = {"reversed": ": reversed", "undecided": ": undecided", "weaker": ": below the margin"}
#: The words from the most to the least serious.
_SURVIVALS: tuple[Survival, ...] = ("reversed", "no", "cannot be told", "yes")


def length_line(controls: pl.DataFrame, survives: str | None) -> str:
    """The ratio as measured, at matched length, by regression and on the summed loss.

    ``controls`` are the rows of LENGTH_CONTROL_SCHEMA of one claim, ``survives`` its word. Empty if
    there is no ratio as measured.
    """
    rows = {row["control"]: row for row in controls.to_dicts()}
    if survives is None or rows.get("measured", {}).get("effect") is None:
        return ""
    cells = rows["measured"]["cells"]
    figures = [_figure(name, rows[name], cells) for name in _FIGURES if name in rows]
    return (
        f"Length: {'; '.join(figure for figure in figures if figure)}. "
        f"Survives length control: {survives}"
    )


def worst_survival(words: Iterable[str | None]) -> str | None:
    """The most serious of some claims' words, None if no claim has one."""
    present = set(words)
    return next((word for word in _SURVIVALS if word in present), None)


def _figure(control: str, row: dict[str, Any], all_cells: int) -> str:
    label = _FIGURES[control]
    if row["effect"] is None:
        return f"{label}: {reason}" if (reason := _missing(control, row)) else ""
    ends = range_text(row["low"], row["high"])
    padded = row["answer_share"] is not None
    notes = [ends, row["how"]] if padded else [ends]
    if row["cells"] < all_cells:
        notes.append(f"{row['cells']} of {count_text(all_cells, 'cell')}")
    outcome = "" if control == "measured" else _OUTCOMES.get(row["outcome"], "")
    return f"{label} {short_number(row['effect'])} ({'; '.join(notes)}){outcome}"


def _missing(control: str, row: dict[str, Any]) -> str:
    """Why there is no figure, in a few words; empty if none is expected."""
    if control == "matched":
        return "no such responses"
    if control == "regression":
        return str(row["how"]).partition(":")[0]
    return ""
