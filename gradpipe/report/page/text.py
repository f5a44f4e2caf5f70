"""The texts of the page: names, findings, totals, choices and provenance."""

import json
from typing import Any

from gradpipe.report import style
from gradpipe.report.chart_data import distinct
from gradpipe.report.charts.page_figure import MOST_TICKED
from gradpipe.report.prose.comparisons import tally_findings
from gradpipe.report.prose.discrimination import discrimination_notes
from gradpipe.report.prose.findings import findings
from gradpipe.report.prose.headline import FEW_HEADLINES, HEADLINE_COLUMNS, Headline, headlines
from gradpipe.report.prose.length_line import HOW_SURVIVAL_IS_JUDGED
from gradpipe.report.prose.length_note import length_note
from gradpipe.report.prose.no_findings import main_chart_note, no_findings_note
from gradpipe.report.prose.phrases import count_text, join_words
from gradpipe.report.prose.sets_note import sets_note
from gradpipe.report.prose.spans import span_findings
from gradpipe.report.prose.terms import explained
from gradpipe.report.prose.trends import headline_note, step_notes, trend_findings
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import detailed_models, models_that_count
from gradpipe.system.units import format_duration

MISSING = "not recorded"

#: Headings of a listing's columns whose names alone are not clear.
_HEADINGS = {
    ("Models", "fingerprint"): "hash of the weights",
    ("Benchmarks", "version"): "hash of the data",
}

#: The page lists at most this many unusable examples; the CSV file has all of them.
MOST_UNUSABLE_SHOWN = 500

#: How verdicts are reached, and their limits.
HOW_JUDGED = (
    "Each claim is about a ratio, which is computed for every model, benchmark and projection (a "
    "cell), and about its mean over all cells. A claim is supported if the ratio’s 95 % interval "
    "lies entirely inside the claimed range, contradicted if the interval lies entirely outside "
    "it, and undecided otherwise. The verdict over all cells is also undecided if any cell is "
    "decided the other way. A claim that a ratio is not larger than a margin needs the 90 % "
    "interval, as an equivalence test at 5 % does. A claim that curves nearly coincide is about "
    "every layer, not about a mean: it is supported if the 90 % interval of each layer’s ratio "
    "lies inside the range, and "
    "contradicted if at least one layer’s ratio lies outside, corrected for the number of layers. "
    "The intervals come from a bootstrap over items, which keeps all "
    "responses to one item together. If the irrelevant responses are other items’ correct "
    "responses, they are paired by response: each text is compared with itself, behind its own "
    "instruction and behind another one, and both of its uses are kept together. The more cells "
    "there are, the more of them would be decided by chance. The p-values are therefore corrected "
    "for all cells of the claim by Holm’s method, and a cell is decided only if its corrected "
    "p-value is below 0.05. {correction} Few items of very unequal size widen the interval. With "
    "too few items nothing is decided. A verdict applies to these models and data only."
)

#: What HOW_JUDGED says of the correction over all claims, by that of the study.
_CORRECTIONS = {
    "study": (
        "A finding’s verdict is also corrected for all claims of the study; the table has both."
    ),
    "none": "As the study requests, verdicts are not corrected for the number of its claims.",
}

#: More findings on trends than this are folded, by series.
MOST_OPEN_TRENDS = 10
#: The first sentence names at most this many models or benchmarks, and otherwise counts them.
MOST_NAMED = 6
#: The caption of the times of a run's parts.
_RUN_TIME = "Time of the run before this page"


def page_text(inputs: ReportInputs) -> dict[str, Any]:
    """The variables of the template that are texts, lists of texts or counts."""
    provenance = inputs.provenance
    models = distinct(inputs.curves, "model") or distinct(inputs.rows, "model")
    benchmarks = distinct(inputs.curves, "benchmark") or distinct(inputs.rows, "benchmark")
    statistics = distinct(inputs.curves, "statistic")
    default = style.DEFAULT_STATISTIC
    totals = {
        name: int(inputs.rows.get_column(name).sum() or 0)
        for name in ("examples", "unusable", "truncated")
    }
    study = provenance.get("study", {})
    correction = _CORRECTIONS[study.get("correction") or "study"]
    how_judged = HOW_JUDGED.format(correction=correction)
    judged = (how_judged, headline_note(inputs), HOW_SURVIVAL_IS_JUDGED)
    all_findings = findings(inputs) + span_findings(inputs)
    statistic = default if default in statistics or not statistics else statistics[0]
    first = headlines(all_findings, inputs)
    first_terms = explained([style.statistic_label(statistic), *_words_of(first)])
    return {
        "title": str(study.get("title") or study.get("name") or "study"),
        "study_name": str(study.get("name") or "study"),
        "description": study.get("description"),
        "headlines": first,
        "few_headlines": FEW_HEADLINES,
        "headline_columns": HEADLINE_COLUMNS,
        "headline_extent": _extent(models_that_count(models, inputs.steps), benchmarks),
        "main_chart_note": main_chart_note(inputs, first),
        "no_findings": no_findings_note(inputs, all_findings),
        "headline_terms": first_terms,
        "findings_terms": explained(
            (text for one in all_findings for text in (one.title, one.summary, *one.details)),
            [term for term, _ in first_terms],
        ),
        "models": models,
        "benchmarks": benchmarks,
        "models_named": _names_or_count(models, "models"),
        "benchmarks_named": _names_or_count(benchmarks, "benchmarks"),
        "model_choices": [(name, name) for name in detailed_models(models, inputs.steps)],
        "benchmark_choices": [(name, name) for name in benchmarks],
        "statistics": [(name, style.statistic_label(name)) for name in statistics],
        "statistic": statistic,
        "statistic_label": style.statistic_label(statistic),
        "styles": [
            (name, style.style_label(name), color)
            for name, color in style.style_colors(distinct(inputs.curves, "style")).items()
        ],
        "findings": all_findings,
        "findings_summary": tally_findings([(one.verdict, one.source) for one in all_findings]),
        "how_judged": " ".join(filter(None, judged)),
        "model_notes": provenance.get("model_notes", []),
        "finished": provenance.get("finished"),
        "most_ticked": MOST_TICKED,
        "step_notes": step_notes(inputs),
        "trend_findings": trend_findings(inputs),
        "most_open": MOST_OPEN_TRENDS,
        "length_note": length_note(inputs),
        "sets_note": sets_note(inputs),
        "discrimination_notes": discrimination_notes(inputs.discrimination, inputs.added),
        "totals": {**totals, "unusable": max(totals["unusable"], inputs.unusable.height)},
        "mismatches": study.get("generator", {}).get("mismatches"),
        "unusable_listed": inputs.unusable.height,
        "most_unusable": MOST_UNUSABLE_SHOWN,
        "provenance": _provenance(provenance),
        "number": style.number,
    }


def _words_of(first: list[Headline]) -> list[str]:
    """The words of the first screen's table, with its headings if some claims compare styles."""
    words = [text for one in first for text in (one.title, one.statement)]
    by_length = any(one.survives_length for one in first)
    return [*words, *HEADLINE_COLUMNS.values()] if by_length else words


def _extent(models: list[str], benchmarks: list[str]) -> str:
    """What a finding is a mean over."""
    kinds = [(len(models), "model"), (len(benchmarks), "benchmark")]
    counted = [count_text(count, kind) for count, kind in kinds if count > 1]
    return join_words([*counted, "all projections"])


def _provenance(provenance: dict[str, Any]) -> dict[str, Any]:
    runs = provenance.get("gradients") or []
    versions = _entries(provenance.get("versions", {}), "package", "version")
    return {
        "created": str(provenance.get("created") or MISSING),
        "hardware": str(provenance.get("hardware") or MISSING),
        "time": format_duration(sum(run["seconds"] for run in runs)) if runs else MISSING,
        "study_yaml": str(provenance.get("study_yaml") or ""),
        "listings": [
            _listing("Models", provenance.get("models", [])),
            _listing("Benchmarks", provenance.get("benchmarks", [])),
            _listing("Protocol", _entries(provenance.get("protocol", {}), "setting", "value")),
            _listing("Gradients", [_gradient_run(run) for run in runs]),
            _listing(_RUN_TIME, _run_times(provenance.get("seconds") or {})),
            _listing("Packages", versions),
        ],
    }


def _gradient_run(run: dict[str, Any]) -> dict[str, Any]:
    """Model, hardware, counts and time of one computation of gradients, as text."""
    counts = {name: style.number(run[name]) for name in ("examples", "tokens")}
    return {
        "model": run["model"],
        "hardware": run["hardware"] or MISSING,
        **counts,
        "time": format_duration(run["seconds"]),
    }


def _run_times(seconds: dict[str, float]) -> list[dict[str, Any]]:
    """The parts of the run before the page was made, which add up to the last entry."""
    taken = {part: time for part, time in seconds.items() if time}
    parts = taken | ({"in all": sum(taken.values())} if taken else {})
    return [{"part": part, "seconds": f"{time:.1f}"} for part, time in parts.items()]


def _names_or_count(names: list[str], kind: str) -> str:
    return f"{len(names)} {kind}" if len(names) > MOST_NAMED else join_words(names)


def _entries(values: dict[str, Any], key: str, value: str) -> list[dict[str, Any]]:
    return [{key: name, value: entry} for name, entry in values.items()]


def _listing(caption: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Dicts as a table of text: one column per key, in the order in which the keys first occur."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [[_text(entry.get(key)) for key in keys] for entry in entries]
    columns = [_HEADINGS.get((caption, key), key) for key in keys]
    return {"caption": caption, "columns": columns, "rows": rows}


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
