"""The hub, the packages and the variables, as they are and as they may be broken."""

import time
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi, constants

from gradpipe.doctor import outside
from gradpipe.doctor.outside import (
    examine_environment,
    examine_hub,
    examine_versions,
    secrets_of_environment,
)

SECRET = "hf_swordfish0123456789"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets how asking the hub ends: None, well; an error, badly; a number, late."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: SECRET)

    def answer(how: Exception | float | None) -> None:
        def model_info(*_: Any, **__: Any) -> None:
            if isinstance(how, Exception):
                raise how
            time.sleep(how or 0)

        monkeypatch.setattr(HfApi, "model_info", model_info)

    return answer


def test_a_hub_that_answers_is_well_and_the_token_is_not_shown(hub: Any) -> None:
    hub(None)
    (found,) = examine_hub()
    assert (found.state, found.found) == ("ok", "huggingface.co answers; a token is given")


def test_a_hub_that_is_silent_is_not_waited_for(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "ANSWER", -0.9)
    hub(30.0)
    started = time.monotonic()
    (found,) = examine_hub()
    assert time.monotonic() - started < 5
    assert found.state == "warning"
    assert "no answer within" in found.found


def test_a_hub_that_is_out_of_reach_is_a_warning(hub: Any) -> None:
    hub(ConnectionError(f"no route, with {SECRET}"))
    (found,) = examine_hub()
    assert found.state == "warning"
    assert "cannot be reached (ConnectionError); a token is given" in found.found
    assert SECRET not in str(found)


def test_a_token_that_is_refused_is_a_fault(hub: Any) -> None:
    error = RuntimeError("Unauthorized")
    error.response = SimpleNamespace(status_code=401)  # type: ignore[attr-defined]
    hub(error)
    (found,) = examine_hub()
    assert (found.state, found.cure) == ("fault", "log in again with `hf auth login`")


def test_offline_nobody_is_asked(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub(AssertionError("asked"))
    (found,) = examine_hub()
    assert found.state == "warning"
    assert found.found.startswith("HF_HUB_OFFLINE is set")


def test_the_packages_that_are_installed_are_within_their_bounds() -> None:
    shown, *rest = examine_versions()
    assert rest == []
    for name in ("python", "gradpipe", "torch", "transformers", "dagster", "polars"):
        assert f"{name} " in shown.found
    assert "is missing" not in shown.found


def test_a_package_that_is_missing_or_too_old_is_named_with_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["polars>=99", "no-such-package>=1.2", "click>=8", 'pytest>=99; extra == "dev"']
    monkeypatch.setattr(outside, "requires", lambda _: [*lines, 'x-extra; extra == "dev"'])
    _, polars, missing, extra = examine_versions()
    assert (polars.state, missing.state, extra.state) == ("fault", "fault", "warning")
    assert polars.found.startswith("polars is ")
    assert polars.found.endswith("and gradpipe needs >=99")
    assert str(missing) == "no-such-package is missing: `pip install 'no-such-package>=1.2'`"


def test_of_secrets_it_is_told_only_whether_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPIPE_POSTGRES_URL", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("GRADPIPE_HOME", f"s3://key:{SECRET}@bucket/place")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("SOME_KEY", SECRET)
    told = " ".join(map(str, examine_environment("SOME_KEY")))
    assert SECRET not in told
    assert "GRADPIPE_POSTGRES_URL is set" in told
    assert "SOME_KEY, the generator's key, is set" in told
    monkeypatch.delenv("SOME_KEY")
    *_, fault = examine_environment("SOME_KEY")
    assert fault.state == "fault"


def test_secrets_are_known_by_their_variables_names_and_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRADPIPE_POSTGRES_URL", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("MY_SERVICE_TOKEN", "tok-12345678")
    known = secrets_of_environment()
    assert {SECRET, "tok-12345678", f"postgresql://me:{SECRET}@host/db"} <= set(known)


def test_without_a_home_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert "HOME is not set" in [found.found for found in examine_environment()]
