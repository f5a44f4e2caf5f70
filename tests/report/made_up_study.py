"""Made-up results of a study, small enough to read and of the shape of real ones."""

from gradpipe.report.report_data import ReportInputs
from tests.report.made_up import (
    BENCHMARKS,
    curves_of,
    mad_of,
    provenance_of,
    rd_of,
    rows_of,
    unusable_of,
)
from tests.report.made_up_examples import (
    alignment_of,
    details_of,
    examples_of,
    extremes_of,
    twins_of,
)
from tests.report.made_up_judged import claims_of, length_control_of, length_of, verdicts_of
from tests.report.made_up_responses import origins_of, responses_of


def made_up_study(
    models: tuple[str, ...] = ("demo",),
    benchmarks: dict[str, str] | None = None,
    layers: int = 30,
    examples: int = 12,
    reason: str = "the response was truncated away",
    text: str = "It is so.",
) -> ReportInputs:
    """Results of models and benchmarks (name to family), with this many examples per style.

    ``reason`` is why rows are unusable, ``text`` stands in the texts of single examples.
    """
    chosen = BENCHMARKS if benchmarks is None else benchmarks
    names = list(models)
    curves = curves_of(names, chosen, layers, examples)
    twins, single = twins_of(names), examples_of(names, chosen, examples)
    extremes = extremes_of(single, places=3, text=text)
    responses = responses_of(chosen, examples, text)
    return ReportInputs(
        curves=curves,
        mad=mad_of(curves),
        rd=rd_of(curves),
        rows=rows_of(curves),
        unusable=unusable_of(curves, reason),
        provenance=provenance_of(names, chosen),
        claims=claims_of(),
        verdicts=(verdicts := verdicts_of(names, chosen, twins, examples)),
        length_control=length_control_of(verdicts),
        length=length_of(names, chosen, examples),
        alignment=alignment_of(names, chosen, layers, examples),
        examples=single,
        extremes=extremes,
        details=details_of(single, layers, text=text),
        responses=responses,
        origins=origins_of(extremes, responses),
        twins=twins,
    )
