"""Hostile study files, and paths that are not files: refused fast, in one sentence."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gradpipe.errors import StudyError
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.load import load_study, parse_study, study_yaml
from gradpipe.studies.names import LONGEST_NAME
from gradpipe.studies.study import Study
from gradpipe.styles import STYLES
from gradpipe.untrusted.yaml import DEEPEST, LARGEST_STUDY, MOST_VALUES
from storage.names import slug, unslug

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"


def refusal(text: str) -> str:
    """What is said of a study of this text, within seconds."""
    start = time.monotonic()
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml", Path("/folder"))
    assert time.monotonic() - start < 10
    return str(caught.value)


def laughs(levels: int, of_each: int = 9) -> str:
    """A list of lists of lists ...: each level repeats the one before ``of_each`` times."""
    lines = [f"l0: &l0 [{', '.join(['lol'] * of_each)}]"]
    for level in range(1, levels):
        before = ", ".join([f"*l{level - 1}"] * of_each)
        lines.append(f"l{level}: &l{level} [{before}]")
    return "\n".join(lines)


def merges(levels: int, of_each: int = 9) -> str:
    """The same with merged mappings, which are copied where they are merged."""
    lines = ["m0: &m0 {a: 1}"]
    for level in range(1, levels):
        before = ", ".join([f"*m{level - 1}"] * of_each)
        lines.append(f"m{level}: &m{level} {{<<: [{before}]}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BASE + "sample: 1\nsample: 2", "at line 4 (the key 'sample' is there twice): remove one."),
        ("models: [{id: a, id: b}]\nbenchmarks: [aqua]", "the key 'id' is there twice"),
        (BASE + "ray: {resources: {a: 1, 'a': 2}}", "the key 'a' is there twice"),
        (BASE + "x: {1: a, 0x1: b}", "the key 1 is there twice"),
        (BASE + "a: &a {}", "at line 3 ('&a' is an anchor, alias or merge key): write the values"),
        (BASE + "seed: 1\nname: *nobody", "at line 4 ('*nobody' is an anchor"),
        (BASE + "a: {<<: {b: 1}}", "'<<' is an anchor"),
        (BASE + f"a: &{'a' * 10_000} 1", "'&aaaaaaa"),
        (BASE + laughs(9), "'&l0' is an anchor"),
        (BASE + merges(9), "'&m0' is an anchor"),
        (BASE + "a: &a [*a]", "'&a' is an anchor"),
        (BASE + "name: " + "[" * (DEEPEST + 1), "mappings and lists inside each other"),
        (BASE + "name: " + "{a: " * 5000, "mappings and lists inside each other"),
        ("- " * 100_000, "mappings and lists inside each other"),
        (BASE + "name: [" + "1," * (MOST_VALUES + 1) + "]", f"more than {MOST_VALUES} values"),
        (BASE + "sample: 0x" + "f" * 9000, "a number beyond 64 bits"),
        (BASE + "sample: 9223372036854775808", "a number beyond 64 bits"),
        (BASE + "seed: -99999999999999999999", "a number beyond 64 bits"),
        (BASE + "unusable_limit: .nan", "a number that is not finite"),
        (BASE + "ray: {cpus: .inf}", "a number that is not finite"),
        (BASE + "ray: {cpus: -1.0e+999}", "a number that is not finite"),
        (BASE + r'name: "\ud83d"', "half a surrogate pair"),
        (BASE + r'"\udc00": 1', "half a surrogate pair"),
    ],
)
def test_yaml_that_hides_something_is_refused_with_its_line(text: str, problem: str) -> None:
    message = refusal(text)
    assert re.search(r"my\.yaml is refused at line \d", message)
    assert problem in message
    assert len(message) < 300


def test_a_character_that_json_wrote_as_two_is_one() -> None:
    text = '{"models": ["demo"], "benchmarks": ["mini_maths"], "name": "\\ud83d\\ude00"}'
    assert parse_study(text, "my.yaml").name == "😀"


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load_study(str(file)).benchmarks[0].name == "mini_maths"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_file_in_another_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_bytes(f"{BASE}name: é\n".encode(encoding))
    with pytest.raises(StudyError, match="not UTF-8 text|valid YAML"):
        load_study(str(file))


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(BASE + "#" * LARGEST_STUDY)
    with pytest.raises(StudyError, match="larger than the limit of 256 KiB"):
        load_study(str(file))
    file.write_text((BASE + "#" * LARGEST_STUDY)[:LARGEST_STUDY])
    assert load_study(str(file)).name == "my"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (pipe, "a pipe, device or socket"),
        (endless, "a pipe, device or socket"),
        (loop, "Too many levels of symbolic links"),
        (Path.mkdir, "Is a directory"),
    ],
)
def test_what_is_no_ordinary_file_is_neither_waited_for_nor_read(
    make: Any, reason: str, tmp_path: Path
) -> None:
    make(tmp_path / "my.yaml")
    with pytest.raises(StudyError, match=reason):
        load_study(str(tmp_path / "my.yaml"))


def test_no_variable_of_the_environment_is_expanded_but_the_home_of_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "my.yaml").write_text(
        """
name: $SECRET ${SECRET} ~
models: ["./$HOME/m", "~/${SECRET}", {id: "$SECRET", revision: "${SECRET}"}]
benchmarks: [{name: a, source: files, path: "$HOME/%(SECRET)s"}]
"""
    )
    study = load_study(str(tmp_path / "my.yaml"))
    assert study.name == "$SECRET ${SECRET} ~"
    assert [model.id for model in study.models] == [
        f"{tmp_path}/$HOME/m",
        "/home/me/${SECRET}",
        "$SECRET",
    ]
    assert study.benchmarks[0].path == f"{tmp_path}/$HOME/%(SECRET)s"
    assert "hidden" not in study_yaml(study)


def settings_of(model: type[BaseModel]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting of a study: the keys that lead to it, and its annotation."""
    for name, field in model.model_fields.items():
        yield (name,), field.annotation
        for part in parts_of(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                for path, annotation in settings_of(part):
                    yield (name, *path), annotation


def parts_of(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from parts_of(part)


NUMBERS = [
    path
    for path, annotation in settings_of(Study)
    if {int, float} & {part for part in parts_of(annotation) if isinstance(part, type)}
    and bool not in parts_of(annotation)
]
#: What else a mapping needs for its number to be looked at.
BESIDE: dict[str, dict[str, Any]] = {
    "models": {"id": "m", "device_map": "auto"},
    "benchmarks": {"name": "w", "source": "wikipedia"},
    "price": {"prompt": 1, "response": 1},
    "protocol": {},
}


def with_setting(path: tuple[str, ...], value: Any) -> str:
    """A study in which the setting at ``path`` has that value."""
    for number, key in reversed(list(enumerate(path))):
        above = path[number - 1] if number else ""
        value = {**BESIDE.get(above, {}), key: value}
        if above in {"models", "benchmarks"}:
            value = [value]
    return yaml.safe_dump({"models": ["demo"], "benchmarks": ["mini_maths"], **value})


def test_the_numbers_of_a_study_are_known() -> None:
    """So that the tests below leave none out."""
    found = {".".join(path) for path in NUMBERS}
    assert {"sample", "seed", "unusable_limit", "protocol.max_length", "ray.cpus"} <= found
    assert {"benchmarks.wikipedia.pages", "generator.budget.tokens", "benchmarks.sample"} <= found
    assert {"generator.price.prompt", "generator.temperature", "models.max_memory"} <= found
    assert len(NUMBERS) >= 28


INVALID = [True, -1, -(2**63), 2**63, float("nan"), "many", [1], {"x": -1}]
INVALID += ["inf", "-inf", "nan", "1e999"]


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_an_invalid_number_or_one_out_of_bounds_is_refused(path: tuple[str, ...]) -> None:
    for value in INVALID:
        message = refusal(with_setting(path, value))
        assert "my.yaml" in message
        assert len(message) < 500


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["x" * (LONGEST_NAME + 1)], f"at most {LONGEST_NAME}"),
        (["🙂" * 20], f"at most {LONGEST_NAME}"),
        (["." * 90], f"at most {LONGEST_NAME}"),
        (["Demo", "demo"], "'Demo' and 'demo'"),
        (["org/A@v1", "org/a@V1"], "'org/A@v1' and 'org/a@V1'"),
    ],
)
def test_a_name_that_cannot_be_a_distinct_file_is_refused(names: list[str], reason: str) -> None:
    models = yaml.safe_dump({"models": names, "benchmarks": ["mini_maths"]}, allow_unicode=True)
    assert reason in refusal(models)
    if len(names[0]) <= 100:
        entries = [{"name": name, "source": "files", "path": "a.csv"} for name in names]
        assert reason in refusal(yaml.safe_dump({"models": [], "benchmarks": entries}))


#: Whatever YAML can say, in which every surrogate is one of a pair.
WORDS = st.sampled_from(
    [
        *(*Study.model_fields, "id", "source", "path", "wikipedia", "columns", "preset", "budget"),
        *(*STYLES, *REDUCTIONS, "demo", "mini_maths", "files", "paper", "auto"),
        *("..", "~", "~x", "\0"),
    ]
)
SCALARS = (
    WORDS
    | st.text(max_size=12)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=4)
    | st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)
SETTINGS = st.fixed_dictionaries(
    {"models": st.just(["demo"]) | VALUES, "benchmarks": st.just(["mini_maths"]) | VALUES},
    optional={key: VALUES for key in Study.model_fields if key not in {"models", "benchmarks"}},
)


def answered(text: str) -> None:
    """A study that reads back, or one sentence: there is nothing else."""
    try:
        study = parse_study(text, "my.yaml", Path("/folder"))
    except StudyError as error:
        message = str(error)
    else:
        message = "my.yaml"
        reads_back(study)
    assert "my.yaml" in message
    assert "\n" not in message


def reads_back(study: Study) -> None:
    assert parse_study(study_yaml(study), "kept.yaml") == study
    for name in [entry.name for entry in (*study.models, *study.benchmarks)]:
        assert unslug(slug(name)) == name


@settings(max_examples=120, deadline=None, derandomize=True)
@given(SETTINGS | VALUES)
@example({"models": ["demo"], "benchmarks": ["mini_maths"], "ray": {"cpus": 1.0, "gpus": 0.5}})
def test_any_mapping_is_a_study_or_refused(content: Any) -> None:
    answered(yaml.safe_dump(content, allow_unicode=True))


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.text() | st.text(st.sampled_from("[]{}:,-&*!|>'\"#%@` \n\tab<?1.~\\x")))
def test_any_text_is_a_study_or_refused(text: str) -> None:
    answered(text)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, len(BASE)), st.text(st.sampled_from("[]{}:,-&*! \n\tab<?1.~"), max_size=5))
def test_a_study_with_a_slip_of_the_keyboard_is_one_or_refused(place: int, slip: str) -> None:
    answered(BASE[:place] + slip + BASE[place:])
