"""Other judges of a response, to compare with: math-verify and lm-evaluation-harness's filters.

The harness is optional. Its own classes and its installed task files are used: each kind of gold
answer has the task whose filters read such answers.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

_NUMBER = re.compile(
    r"(?i)[-−]?[$€£]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?\s*(?:\\?%|[a-z]+[²³]?(?:/h)?)?"
)
_OPTION = re.compile(r"\(?([A-J])\)?\.?")
_LISTED = re.compile(r"(?m)^\s*(?:\(([A-J])\)|([A-J])[.)]|-)\s*(\S.*?)\s*$")


class TaskFilters(NamedTuple):
    """A file under ``lm_eval/tasks`` and the names of its strict and flexible filters."""

    file: str
    strict: str = "strict-match"
    flexible: str = "flexible-extract"


TASKS = {
    "number": TaskFilters("gsm8k/gsm8k-cot.yaml"),
    "option": TaskFilters("mmlu/flan_cot_zeroshot/_mmlu_flan_cot_zeroshot_template_yaml"),
    "yes_no": TaskFilters("bbh/cot_zeroshot/sports_understanding.yaml"),
    "true_false": TaskFilters("bbh/cot_zeroshot/boolean_expressions.yaml"),
    # Texts of options become letters, as the filter does with options.
    "phrase": TaskFilters("mmlu/flan_cot_zeroshot/_mmlu_flan_cot_zeroshot_template_yaml"),
}


def gold_form(gold: str) -> str:
    """The form of a gold answer: a key of TASKS, or ``formula``, which minerva_math reads."""
    text = gold.strip()
    if text.casefold() in ("yes", "no"):
        return "yes_no"
    if text.casefold() in ("true", "false"):
        return "true_false"
    if _OPTION.fullmatch(text):
        return "option"
    if _NUMBER.fullmatch(text):
        return "number"
    return "formula" if re.search(r"[\\^_=<>{}()\[\]+*/\d]", text) else "phrase"


def math_verify_accepts(text: str, gold: str) -> bool:
    """Whether math-verify alone, with its default settings, finds ``gold`` in ``text``."""
    library = import_module("math_verify")
    wanted = library.parse(f"${gold}$") or library.parse(gold)
    return bool(library.verify(wanted, library.parse(text)))


def has_harness() -> bool:
    """Whether lm-evaluation-harness is installed with the packages that its mathematics needs."""
    if find_spec("lm_eval") is None:
        return False
    try:
        _harness("tasks.minerva_math.utils")
    # It asserts the version of its parser.
    except (ImportError, AssertionError):
        return False
    return True


def harness_accepts(text: str, gold: str, question: str, *, strict: bool) -> bool:
    """Whether the harness's strict or flexible filter for such a gold answer accepts ``text``."""
    form = gold_form(gold)
    if form == "formula":
        return _formula_accepts(text, gold, strict=strict)
    task = TASKS[form]
    filters, metric = _task(task.file)
    options = [found[3] for found in _LISTED.finditer(question.replace("\\n", "\n"))]
    wanted = gold.strip()
    if form == "option":
        wanted = _OPTION.sub(r"(\1)", wanted)
    elif form == "phrase" and not strict:
        # "Sentence A" stands for the option 'Sentence A: "It often rains."'.
        same = [place for place, option in enumerate(options) if option.split(":")[0] == wanted]
        wanted = f"({chr(ord('A') + same[0])})" if same else wanted
    chosen = filters[task.strict if strict else task.flexible]
    found = next(iter(chosen.apply([[text]], [{"choices": options}])))[0]
    score = _harness("api.metrics").exact_match_fn(
        predictions=[str(found)], references=[wanted], **metric
    )
    return bool(score["exact_match"] == 1)


def _formula_accepts(text: str, gold: str, *, strict: bool) -> bool:
    """Strict: Minerva's "Final Answer: ..."; flexible: the last box. Both as MATH compares them."""
    if strict:
        minerva = _harness("tasks.minerva_math.utils")
        found = minerva.normalize_final_answer(minerva.get_unnormalized_answer(text))
        return bool(minerva.is_equiv(found, minerva.normalize_final_answer(gold)))
    hendrycks = _harness("tasks.hendrycks_math.utils")
    boxed = hendrycks.last_boxed_only_string(text)
    try:
        found = boxed and hendrycks.remove_boxed(boxed)
    except AssertionError:
        return False
    return bool(found) and bool(hendrycks.is_equiv(found, gold))


@cache
def _task(file: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The filters of a task's file by name, and the settings of its exact match."""
    folder = Path(str(import_module("lm_eval").__file__)).parent / "tasks"
    settings = _harness("tasks._yaml_loader").load_yaml(folder / file)
    filters = {}
    for chain in settings["filter_list"]:
        first = dict(chain["filter"][0])
        function = first.pop("function")
        if isinstance(function, str):
            function = _harness("api.registry").get_filter(function)
        filters[chain["name"]] = function(**first)
    names = ("regexes_to_ignore", "ignore_case", "ignore_punctuation")
    metric = settings["metric_list"][0]
    return filters, {name: metric[name] for name in names if name in metric}


def _harness(module: str) -> Any:
    import_module("lm_eval.filters")
    return import_module(f"lm_eval.{module}")
