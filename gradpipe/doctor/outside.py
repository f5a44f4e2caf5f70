"""Check the hub, the installed packages, and the environment variables."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from threading import Thread
from urllib.parse import urlsplit

from gradpipe.doctor.finding import Finding
from gradpipe.models.source import DEMO_HUB_ID

HUB, VERSIONS, ENVIRONMENT = "hub", "versions", "environment"
#: Seconds to wait for the hub.
HUB_TIMEOUT = 6.0
#: Packages whose versions are shown.
SHOWN = ("gradpipe", "torch", "transformers", "dagster", "polars")
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL|POSTGRES_URL", re.IGNORECASE)


def secrets_of_environment() -> list[str]:
    """Return the values of environment variables whose names suggest secrets."""
    values = [value for name, value in os.environ.items() if _SECRET.search(name)]
    # Messages may repeat the password of a URL without the URL.
    passwords = [match[1] for value in values if (match := re.search(r"://[^/]*:(.+)@", value))]
    return [value for value in (*values, *passwords) if len(value) >= 6]


def examine_hub() -> Iterator[Finding]:
    """Check that the hub responds quickly and whether a token is set; never show the token."""
    from huggingface_hub import constants, get_token

    token = "a token is set" if get_token() else "no token is set"
    if constants.HF_HUB_OFFLINE:
        yield Finding(
            HUB,
            "warning",
            f"HF_HUB_OFFLINE is set, so only earlier downloads are available; {token}",
            "unset it to download models",
        )
        return
    host = urlsplit(constants.ENDPOINT).hostname or "the hub"
    reason = _hub_failure()
    if reason is None:
        yield Finding(HUB, "ok", f"{host} responds; {token}")
    elif reason == "401":
        yield Finding(
            HUB, "fault", f"{host} rejects the token", "log in again with `hf auth login`"
        )
    else:
        yield Finding(
            HUB,
            "warning",
            f"{host} cannot be reached ({reason}); {token}",
            "check the network, or use local models and earlier downloads",
        )


def _hub_failure() -> str | None:
    """Return why the hub does not respond, or None if it does; waits for HUB_TIMEOUT at most."""
    from huggingface_hub import HfApi

    outcomes: list[str | None] = []

    def request() -> None:
        try:
            HfApi().model_info(DEMO_HUB_ID, timeout=HUB_TIMEOUT)
            outcomes.append(None)
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            outcomes.append(str(status) if status else type(error).__name__)

    # A name server that does not respond blocks a request beyond its own timeout.
    thread = Thread(target=request, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT + 1)
    return outcomes[0] if outcomes else f"no response within {HUB_TIMEOUT:.0f} seconds"


def examine_versions() -> Iterator[Finding]:
    """Check that every required package is installed in a supported version."""
    from packaging.requirements import Requirement

    shown = {name: _version(name) for name in SHOWN}
    listed = ", ".join(f"{name} {number or 'is missing'}" for name, number in shown.items())
    yield Finding(VERSIONS, "ok", f"python {platform.python_version()}, {listed}")
    try:
        needed = [Requirement(line) for line in requires("gradpipe") or ()]
    except PackageNotFoundError:
        yield Finding(VERSIONS, "warning", "gradpipe is not installed", "`pip install gradpipe`")
        return
    for package in needed:
        extra = package.marker is not None and not package.marker.evaluate({"extra": ""})
        number = _version(package.name)
        cure = f"`pip install '{package.name}{package.specifier}'`"
        if number is None and not extra:
            yield Finding(VERSIONS, "fault", f"{package.name} is missing", cure)
        elif number is not None and not package.specifier.contains(number, prereleases=True):
            yield Finding(
                VERSIONS,
                "warning" if extra else "fault",
                f"{package.name} is {number}, but gradpipe needs {package.specifier}",
                cure,
            )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def examine_environment() -> Iterator[Finding]:
    """Report the variables that gradpipe reads; for secrets, only whether they are set."""
    home = os.environ.get("GRADPIPE_HOME")
    yield Finding(
        ENVIRONMENT,
        "ok",
        f"GRADPIPE_HOME is {_without_user(home)}" if home else "GRADPIPE_HOME is not set",
    )
    for name in ("GRADPIPE_POSTGRES_URL", "HF_TOKEN"):
        yield Finding(ENVIRONMENT, "ok", f"{name} is {'' if os.environ.get(name) else 'not '}set")
    if not os.environ.get("HOME") and platform.system() != "Windows":
        yield Finding(
            ENVIRONMENT, "warning", "HOME is not set", "set it, or XDG_CACHE_HOME and HF_HOME"
        )


def _without_user(address: str) -> str:
    return re.sub(r"://[^/@]*@", "://[key]@", address)
