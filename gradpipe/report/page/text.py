"""What the page says in words: names, findings, totals, choices and provenance."""

import json
from typing import Any

from gradpipe.report import style as look
from gradpipe.report.chart_data import distinct
from gradpipe.report.prose.findings import findings
from gradpipe.report.prose.length_note import length_note
from gradpipe.report.prose.phrases import listed, tallied
from gradpipe.report.report_data import ReportInputs
from gradpipe.statistics.differences import SEGMENTS
from gradpipe.system.units import format_duration

MISSING = "not recorded"

#: What a column of a listing holds, where its name alone does not say so.
_COLUMNS = {
    ("Models", "fingerprint"): "hash of the weights",
    ("Benchmarks", "version"): "hash of the data",
}

#: The page lists at most this many unusable rows; the CSV beside it has all of them.
MOST_UNUSABLE_SHOWN = 500

#: How verdicts are come by, and what they do not say.
HOW_JUDGED = (
    "Each claim is about a ratio, taken for every model, benchmark and projection (a cell), and "
    "about its mean over all cells. It is supported where the ratio’s 95 % interval lies wholly "
    "where the claim puts it, contradicted where the interval lies wholly elsewhere, and undecided "
    "otherwise. Over all, it is undecided too where single cells are decided the other way. The "
    "intervals come from a bootstrap over items, which keeps all responses to one item together. "
    "The more cells there are, the more of them would be decided by chance: their p-values are "
    "corrected for all cells of the claim by Holm’s method, and only a corrected one below 0.05 "
    "decides a cell. Claims are not corrected for one another. With too few items nothing is "
    "decided. A verdict is about these models and data, and says nothing of others."
)

#: More models or benchmarks than this are counted in the first sentence, not named.
MOST_NAMED = 6


def page_words(inputs: ReportInputs) -> dict[str, Any]:
    """What the template says in words: names, findings, totals, choices and provenance."""
    provenance = inputs.provenance
    models = distinct(inputs.curves, "model") or distinct(inputs.rows, "model")
    benchmarks = distinct(inputs.curves, "benchmark") or distinct(inputs.rows, "benchmark")
    statistics = distinct(inputs.curves, "statistic")
    default = look.DEFAULT_STATISTIC
    totals = {
        name: int(inputs.rows.get_column(name).sum() or 0)
        for name in ("examples", "unusable", "truncated")
    }
    found = findings(inputs)
    statistic = default if default in statistics or not statistics else statistics[0]
    return {
        "title": str(provenance.get("study", {}).get("name") or "study"),
        "models": models,
        "benchmarks": benchmarks,
        "models_named": _named(models, "models"),
        "benchmarks_named": _named(benchmarks, "benchmarks"),
        "model_choices": [(name, name) for name in models],
        "benchmark_choices": [(name, name) for name in benchmarks],
        "statistics": [(name, look.statistic_label(name)) for name in statistics],
        "segments": [(name, look.SEGMENT_LABELS.get(name, name)) for name in SEGMENTS],
        "statistic": statistic,
        "statistic_shown": look.statistic_label(statistic),
        "styles": [
            (style, look.style_label(style), look.style_color(style))
            for style in distinct(inputs.curves, "style")
        ],
        "findings": found,
        "findings_counted": tallied([finding.answer for finding in found], "claim"),
        "how_judged": HOW_JUDGED,
        "length_note": length_note(inputs),
        "totals": {**totals, "unusable": max(totals["unusable"], inputs.unusable.height)},
        "mismatches": provenance.get("study", {}).get("generator", {}).get("mismatches"),
        "unusable_listed": inputs.unusable.height,
        "most_unusable": MOST_UNUSABLE_SHOWN,
        "provenance": _provenance(provenance),
        "number": look.number,
    }


def _provenance(provenance: dict[str, Any]) -> dict[str, Any]:
    computed = provenance.get("gradients") or []
    versions = _entries(provenance.get("versions", {}), "package", "version")
    return {
        "created": str(provenance.get("created") or MISSING),
        "hardware": str(provenance.get("hardware") or MISSING),
        "time": format_duration(sum(one["seconds"] for one in computed)) if computed else MISSING,
        "study_yaml": str(provenance.get("study_yaml") or ""),
        "listings": [
            _listing("Models", provenance.get("models", [])),
            _listing("Benchmarks", provenance.get("benchmarks", [])),
            _listing("Protocol", _entries(provenance.get("protocol", {}), "setting", "value")),
            _listing("Gradients", [_computed(one) for one in computed]),
            _listing("Packages", versions),
        ],
    }


def _computed(one: dict[str, Any]) -> dict[str, Any]:
    """What was computed on what, with counts and the time as readers see them."""
    counts = {name: look.number(one[name]) for name in ("examples", "tokens")}
    return {
        "model": one["model"],
        "hardware": one["hardware"] or MISSING,
        **counts,
        "time": format_duration(one["seconds"]),
    }


def _named(names: list[str], kind: str) -> str:
    return f"{len(names)} {kind}" if len(names) > MOST_NAMED else listed(names)


def _entries(values: dict[str, Any], key: str, value: str) -> list[dict[str, Any]]:
    return [{key: name, value: entry} for name, entry in values.items()]


def _listing(caption: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Dicts as a table of text: a column a key, in the order the keys first occur."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [[_text(entry.get(key)) for key in keys] for entry in entries]
    columns = [_COLUMNS.get((caption, key), key) for key in keys]
    return {"caption": caption, "columns": columns, "rows": rows}


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
