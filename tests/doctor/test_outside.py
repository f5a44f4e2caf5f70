"""The hub, the packages and the variables, as they are and as they may be broken."""

from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from gradpipe.doctor import outside
from gradpipe.doctor.outside import (
    examine_environment,
    examine_hub,
    examine_versions,
    secrets_of_environment,
)
from tests.doctor.conftest import SECRET


def test_a_responding_hub_is_ok_and_the_token_is_not_shown(hub: Any) -> None:
    hub(None)
    (found,) = examine_hub()
    assert found.state == "ok"
    assert "huggingface.co" in found.found
    assert SECRET not in str(found)


def test_an_unresponsive_hub_times_out(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "HUB_TIMEOUT", -0.9)
    hub(30.0)
    (found,) = examine_hub()
    # A hub that was waited for is ok.
    assert found.state == "warning"
    assert "seconds" in found.found


def test_an_unreachable_hub_is_a_warning(hub: Any) -> None:
    hub(ConnectionError(f"no route, with {SECRET}"))
    (found,) = examine_hub()
    assert found.state == "warning"
    assert "ConnectionError" in found.found
    assert SECRET not in str(found)


def test_a_token_that_is_refused_is_a_fault(hub: Any) -> None:
    error = RuntimeError("Unauthorized")
    error.response = SimpleNamespace(status_code=401)  # type: ignore[attr-defined]
    hub(error)
    (found,) = examine_hub()
    assert found.state == "fault"
    assert "`hf auth login`" in found.cure


def test_offline_the_hub_is_not_contacted(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub(AssertionError("asked"))
    (found,) = examine_hub()
    assert found.state == "warning"
    assert "HF_HUB_OFFLINE" in found.found


def test_installed_packages_are_within_their_bounds() -> None:
    shown, *rest = examine_versions()
    assert rest == []
    for name in ("python", "gradpipe", "torch", "transformers", "dagster", "polars"):
        assert f"{name} " in shown.found


def test_a_package_that_is_missing_or_too_old_is_named_with_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["polars>=99", "no-such-package>=1.2", "click>=8", 'pytest>=99; extra == "dev"']
    monkeypatch.setattr(outside, "requires", lambda _: [*lines, 'x-extra; extra == "dev"'])
    _, polars, missing, extra = examine_versions()
    assert (polars.state, missing.state, extra.state) == ("fault", "fault", "warning")
    assert "polars" in polars.found
    assert ">=99" in polars.found
    assert "no-such-package" in missing.found
    assert "`pip install 'no-such-package>=1.2'`" in missing.cure


def test_secrets_are_reported_only_as_set_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADPIPE_POSTGRES_URL", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("GRADPIPE_HOME", f"s3://key:{SECRET}@bucket/place")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    findings = list(examine_environment())
    assert SECRET not in " ".join(map(str, findings))
    for name in ("GRADPIPE_HOME", "GRADPIPE_POSTGRES_URL", "HF_TOKEN"):
        assert [each.state for each in findings if name in each.found] == ["ok"]


def test_secrets_are_identified_by_variable_names_and_inside_urls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRADPIPE_POSTGRES_URL", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("MY_SERVICE_TOKEN", "tok-12345678")
    known = secrets_of_environment()
    assert {SECRET, "tok-12345678", f"postgresql://me:{SECRET}@host/db"} <= set(known)


def test_without_a_home_the_variables_to_set_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    (warning,) = [found for found in examine_environment() if found.state == "warning"]
    for name in ("HOME", "XDG_CACHE_HOME", "HF_HOME"):
        assert name in str(warning)
