"""What the page says in words: names, findings, totals, choices and provenance."""

import json
from typing import Any

from gradpipe.report import look
from gradpipe.report.findings import findings, length_note
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.shape import distinct
from gradpipe.statistics.differences import SEGMENTS

#: The page lists at most this many unusable rows; the CSV beside it has all of them.
MOST_UNUSABLE_SHOWN = 500

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
            (style, look.style_label(style), look.style_colour(style))
            for style in distinct(inputs.curves, "style")
        ],
        "findings": findings(inputs),
        "length_note": length_note(inputs.rows),
        "totals": {**totals, "unusable": max(totals["unusable"], inputs.unusable.height)},
        "mismatches": provenance.get("study", {}).get("generator", {}).get("mismatches"),
        "unusable_listed": inputs.unusable.height,
        "most_unusable": MOST_UNUSABLE_SHOWN,
        "provenance": _provenance(provenance),
        "number": look.number,
    }


def _provenance(provenance: dict[str, Any]) -> dict[str, Any]:
    versions = _entries(provenance.get("versions", {}), "package", "version")
    return {
        "created": str(provenance.get("created") or "not recorded"),
        "hardware": str(provenance.get("hardware") or "not recorded"),
        "study_yaml": str(provenance.get("study_yaml") or ""),
        "listings": [
            _listing("Models", provenance.get("models", [])),
            _listing("Benchmarks", provenance.get("benchmarks", [])),
            _listing("Protocol", _entries(provenance.get("protocol", {}), "setting", "value")),
            _listing("Packages", versions),
        ],
    }


def _named(names: list[str], kind: str) -> str:
    if len(names) > MOST_NAMED:
        return f"{len(names)} {kind}"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _entries(values: dict[str, Any], key: str, value: str) -> list[dict[str, Any]]:
    return [{key: name, value: entry} for name, entry in values.items()]


def _listing(caption: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Dicts as a table of text: a column a key, in the order the keys first occur."""
    columns = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [[_text(entry.get(column)) for column in columns] for entry in entries]
    return {"caption": caption, "columns": columns, "rows": rows}


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
