"""From outside: keys, addresses and files are kept to their user; templates and code do nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import assets.running.ui
from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.cli import main
from gradpipe.errors import StudyError
from gradpipe.models.gguf import converted_folder
from gradpipe.models.load import load_tokenizer
from gradpipe.studies.load import parse_study
from storage.workspace import Workspace
from tests.conftest import ROOT, study_of
from tests.models.making import make_gguf

KEYS = ("sk-proj-swordfish0123456789ABCDEF", "hf_swordfishSWORDFISHswordfish012345")
STUDY = "models: [demo]\nbenchmarks: [mini_maths]\n"
PLACES = {
    "a key of its own": "api_key: {}\n" + STUDY,
    "a model's id": "models: [{}]\nbenchmarks: [mini_maths]",
    "a model's revision": "models: [{{id: org/m, revision: {}}}]\nbenchmarks: [mini_maths]",
    "a model's token": "models: [{{id: org/m, token: {}}}]\nbenchmarks: [mini_maths]",
    "a benchmark's name": "models: [demo]\nbenchmarks: [{}]",
    "an address": STUDY + "generator: {{kind: openai, model: m, base_url: 'https://{}@h/v1'}}",
    "the generator's key": STUDY + "generator: {{kind: openai, model: m, key: {}}}",
    "a number": STUDY + "sample: {}",
    "a style": STUDY + "styles: [{}]",
    "the study's name": STUDY + "name: {}",
    "a setting's name": STUDY + "{}: 1",
    "a comment": STUDY + "# {}",
    "what is no YAML": "models: [{}\nx: 1",
}


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", PLACES)
def test_a_key_in_a_study_is_refused_and_not_repeated(place: str, key: str) -> None:
    with pytest.raises(StudyError, match="OPENAI_API_KEY or HF_TOKEN") as refused:
        parse_study(PLACES[place].format(key), "my.yaml")
    error: BaseException | None = refused.value
    while error is not None:
        assert key[4:] not in f"{error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("word", ["risk-free-desk-top-task-force", "hf_models/llama", "sk-12"])
def test_words_that_only_begin_like_a_key_are_taken(word: str) -> None:
    assert parse_study(f"{STUDY}name: {word}\n", "my.yaml").name == word


SECRET = "swordfish-0123456789-abcdef"


def test_secrets_of_the_environment_are_in_no_file_that_a_run_writes(
    small_model: Path, home: Path, no_images: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GRADPIPE_SECRET"):
        monkeypatch.setenv(name, SECRET)
    before = os.umask(0o027)
    try:
        runner = Runner(Workspace.current(), study_of(small_model, "mini_obscure"), Accelerator())
        runner.bring_up_to_date()
    finally:
        os.umask(before)
    assert not runner.failures
    files = [path for path in home.parent.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    # What a run writes is its user's, and as far as the umask says their group's.
    assert {oct(path.stat().st_mode & 0o777) for path in home.rglob("*") if path.is_file()} == {
        oct(0o640)
    }


def test_converted_weights_follow_the_umask_too(
    small_model: Path, home: Path, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        folder = converted_folder(make_gguf(small_model, tmp_path / "small.gguf"))
    finally:
        os.umask(before)
    assert {
        path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()
    } == dict.fromkeys((path.name for path in folder.iterdir()), oct(0o640))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[str]:
    """The addresses that a UI was served at; none is."""
    addresses: list[str] = []
    monkeypatch.setattr(assets.running.ui, "serve", lambda _, host, _port: addresses.append(host))
    monkeypatch.setattr("assets.running.ports.port_to_listen_on", lambda _, port: port)
    return addresses


@pytest.mark.parametrize("host", ["", "127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_ui_is_served_to_this_machine_without_a_word(host: str, served: list[str]) -> None:
    result = gradpipe("ui", *(["--host", host] if host else []))
    assert served == [host or "127.0.0.1"]
    assert "warning" not in result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.evil"])
def test_a_ui_that_others_can_reach_is_served_with_a_warning(host: str, served: list[str]) -> None:
    result = gradpipe("ui", "--host", host)
    assert served == [host]
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert f"{host}:3000" in warning


TEMPLATES = {
    "its class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "what a function knows": "{{ cycler.__init__.__globals__.os.system(command) }}",
    "a module of a namespace": "{{ namespace.__init__.__globals__['os'].system(command) }}",
    "a list": "{{ messages.append(1) }}",
    "a mapping": "{{ messages[0].update({'content': command}) }}",
    "a file": "{% include '/etc/passwd' %}",
    "a module": "{% import 'os' as os %}{{ os.system(command) }}",
    "a long range": "{% for i in range(10**9) %}{% endfor %}",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_reaches_nothing_and_runs_nothing(
    template: str, small_model: Path, home: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_model, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(TEMPLATES[template])
    tokenizer = load_tokenizer(str(folder))
    messages = [{"role": "user", "content": "x"}]
    # Whatever it raises, the error is that of a sandbox.
    with pytest.raises(Exception, match=r"unsafe|no loader|Range too big|has no attribute"):
        tokenizer.apply_chat_template(messages, tokenize=False, command=f"touch {tmp_path / 'ran'}")
    assert not (tmp_path / "ran").exists()
    assert messages == [{"role": "user", "content": "x"}]


def test_code_that_comes_with_a_model_does_not_run_in_any_command(
    small_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_model, tmp_path / "model")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    maps = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"model_type": "evil", "auto_map": maps})
    )
    (tmp_path / "data.json").write_text('[{"instruction": "a", "output": "b"}]')
    command = ["extract", "data.json", "--model", "model", "--out", "out.parquet"]
    done = subprocess.run(
        [sys.executable, "-m", "gradpipe.cli", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        # A model's code is asked for on the terminal where nobody said no before.
        input="yes\n" * 9,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "custom code" in done.stderr
    assert not (tmp_path / "ran").exists()
