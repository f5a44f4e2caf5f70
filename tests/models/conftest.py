"""A private cache, a copy of the small model to spoil, and a hub that nobody reaches."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that no test reads or fills the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gradpipe"


@pytest.fixture
def folder(small_model: Path, tmp_path: Path) -> Path:
    """The small model in a folder that a test may change."""
    return shutil.copytree(small_model, tmp_path / "model")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Path]:
    """A function that sets what asking the hub gives: a commit, or an error that is raised.

    Until it is called, asking the hub fails the test. Returns the folder of the hub's own cache.
    """
    from huggingface_hub import HfApi, constants

    answers: list[Any] = [AssertionError("nobody should ask the hub")]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    class Info:
        def __init__(self, sha: str) -> None:
            self.sha = sha

    def model_info(_self: HfApi, _model: str, **_settings: Any) -> Info:
        if isinstance(answers[-1], AssertionError):
            pytest.fail(str(answers[-1]))
        if isinstance(answers[-1], Exception):
            raise answers[-1]
        return Info(answers[-1])

    monkeypatch.setattr(HfApi, "model_info", model_info)

    def answer(what: Any) -> Path:
        answers.append(what)
        return tmp_path / "hub"

    return answer


def configure(folder: Path, name: str = "config.json", **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
