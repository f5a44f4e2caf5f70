"""Check the servers of the study's generator and judge: key, proxy, and whether they respond."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gradpipe.doctor.finding import Finding
from gradpipe.errors import GradpipeError
from gradpipe.system.extras import OPTIONAL_PACKAGES, missing_package

if TYPE_CHECKING:
    from gradpipe.generators.attempts import FailedAttempt
    from gradpipe.generators.config import GeneratorConfig
    from gradpipe.generators.judge import JudgeConfig
    from gradpipe.generators.server_access import ServerAccess

GENERATOR = "generator"
JUDGE = "judge"
#: Seconds to wait for the server.
SERVER_TIMEOUT = 6.0
#: The number of models that a finding names.
_NAMED = 5


def examine_generator(config: GeneratorConfig) -> Iterator[Finding]:
    """Check the server of an ``openai`` generator, by the rules of a run; other kinds have none.

    The server is asked for its models, which costs nothing. Raises GradpipeError, as a run does,
    for a missing key and a proxy that cannot be used.
    """
    if config.kind != "openai":
        return
    from gradpipe.generators.server_access import find_access

    access = find_access(config)
    yield Finding(GENERATOR, "ok", _key(access))
    if access.proxy is not None:
        yield Finding(GENERATOR, "ok", f"{access.host} is reached through {access.proxy}")
    # Its packages are an extra.
    try:
        from gradpipe.generators.reach import list_models
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL_PACKAGES:
            raise
        missing = missing_package(error.name, "The generator 'openai'").rstrip(".")
        yield Finding(GENERATOR, "fault", missing)
        return
    models = list_models(config, SERVER_TIMEOUT)
    yield _of_models(config, models) if isinstance(models, list) else _of_failure(config, models)


def examine_judge(config: JudgeConfig) -> Iterator[Finding]:
    """Check the server of an ``openai`` judge, as ``examine_generator`` does."""
    from gradpipe.generators.judge import about_judge, of_judge

    try:
        for finding in examine_generator(config):
            found, cure = of_judge(finding.found), of_judge(finding.cure)
            yield replace(finding, subject=JUDGE, found=found, cure=cure)
    except GradpipeError as error:
        about_judge(error)
        raise


def _key(access: ServerAccess) -> str:
    if access.key is not None:
        return f"{access.key_name}, the generator's key, is set"
    if access.withheld:
        return (
            f"no key is sent to {access.host}: {access.key_name} is set, but sent to unknown hosts "
            "only if the study's `key` names it"
        )
    return f"no key is set, and {access.host} is asked without one"


def _of_models(config: GeneratorConfig, models: list[str]) -> Finding:
    listed = ", ".join(models[:_NAMED]) + (", ..." if len(models) > _NAMED else "")
    if models and config.model not in models:
        found = f"{config.address} responds, but does not list {config.model!r} (it has {listed})"
        return Finding(GENERATOR, "warning", found, "check the generator's `model`")
    has = f" and has {config.model!r}" if models else ""
    return Finding(GENERATOR, "ok", f"{config.address} responds{has}")


def _of_failure(config: GeneratorConfig, failure: FailedAttempt) -> Finding:
    # A server without a list of models responds all the same.
    if failure.missing:
        return Finding(GENERATOR, "ok", f"{config.address} responds, without a list of models")
    found = f"{config.address}: {failure.reason}"
    if failure.cure is not None:
        return Finding(GENERATOR, "fault", found, failure.cure)
    if failure.unreachable:
        return Finding(GENERATOR, "fault", found, "start the server, or check `base_url`")
    return Finding(GENERATOR, "warning", found, "check the server before the run")
