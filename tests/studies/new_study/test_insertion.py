"""A benchmark added to a study's text: everything else stays, character for character."""

import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.load import parse_study
from gradpipe.studies.new_study.insertion import with_benchmark

TEXTS = {
    "block": (
        "models: [demo]  # one\nbenchmarks:\n  # mine\n  - mini_maths  # small\n\n# end\nseed: 1\n"
    ),
    "not indented": "benchmarks:\n- name: mini_maths\n  sample: 8  # few\nmodels:\n- demo\n",
    "at the end": "models: [demo]\nbenchmarks:\n    - {name: mini_maths,\n       sample: 8}",
    "nested": (
        "benchmarks:\n  - name: own\n    source: files\n    path: a.csv\n    columns:\n"
        "      responses:\n        none: a # x\nmodels: [demo]"
    ),
    "flow": "models: [demo]\nbenchmarks: [mini_maths]  # small\nseed: 1",
    "flow of lines": "models: [demo]\nbenchmarks: [\n  mini_maths,\n]\n",
    "flow with comments": (
        "models: [demo]\nbenchmarks: [\n  mini_maths,  # one, two\n  mini_commonsense  # ]\n]\n"
    ),
    "flow with a comma and a comment": "benchmarks: [\n  mini_maths,  # one\n]\nmodels: [demo]\n",
    "a comment behind the dash": (
        "benchmarks:\n  - # my-own\n    name: mini_maths\nmodels: [demo]\n"
    ),
    "a block of text": (
        "models: [demo]\nbenchmarks:\n  - name: own\n    source: files\n    path: a.csv\n"
        "    response_template: |\n      ### Response:\ntitle: My study\n"
    ),
    "a block of text at the end": (
        "models: [demo]\nbenchmarks:\n  - name: own\n    source: files\n    path: a.csv\n"
        "    response_template: |+\n      ### Response:\n\n"
    ),
    "a block of text before a comment": (
        "models: [demo]\nbenchmarks:\n- name: own\n  source: files\n  path: a.csv\n"
        "  response_template: >-\n    ### Response:\n\n  # end\n\ntitle: My study"
    ),
    "quotes of several lines": (
        'models: [demo]\nbenchmarks:\n  - name: own\n    source: files\n    path: "a\n\n b.csv"\n'
        "title: 'My - study'\n"
    ),
    "a byte order mark": "\ufeffbenchmarks:\n  - mini_maths\nmodels: [demo]\n",
    "a document's end": "models: [demo]\nbenchmarks:\n  - mini_maths\n...\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("setting", ["mini_obscure", {"name": "x: y", "source": "files"}])
def test_an_entry_is_added_and_nothing_else_changes(
    text: str, setting: str | dict[str, str]
) -> None:
    changed = with_benchmark(text, "my.yaml", setting)
    before, after = parse_study(text, "my.yaml"), parse_study(changed, "my.yaml")
    name = setting if isinstance(setting, str) else setting["name"]
    assert after.benchmarks[:-1] == before.benchmarks
    assert after.benchmarks[-1].name == name
    assert after.model_copy(update={"benchmarks": before.benchmarks}) == before
    # Only characters were added, in one place.
    same = next(
        (n for n, (a, b) in enumerate(zip(text, changed, strict=False)) if a != b), len(text)
    )
    kept = len(text) - same
    assert kept <= 4 or changed.endswith(text[same + 4 :])


def test_lines_keep_their_ends() -> None:
    text = "models: [demo]\r\nbenchmarks:\r\n  - mini_maths  # one\r\nseed: 1\r\n"
    changed = with_benchmark(text, "my.yaml", "mini_obscure")
    assert changed == text.replace("seed", "  - mini_obscure\r\nseed")


@pytest.mark.parametrize("text", ["models: [demo]\nbenchmarks: !!seq\n  - mini_maths\n"])
def test_an_unusual_list_is_left_to_the_user_with_the_entry(text: str) -> None:
    parse_study(text, "my.yaml")
    with pytest.raises(StudyError, match=r"by hand: \{name: mine\}"):
        with_benchmark(text, "my.yaml", {"name": "mine"})


def test_a_study_without_a_list_is_refused() -> None:
    with pytest.raises(StudyError, match="by hand"):
        with_benchmark("models: [demo]\n", "my.yaml", "mini_maths")
