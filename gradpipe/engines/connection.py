"""Connect to an existing Ray cluster, or start a local one for the duration of the run."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradpipe.engines.settings import RayConfig, require_plain_address
from gradpipe.errors import GradpipeError, StudyError
from gradpipe.system.extras import missing_package

_log = logging.getLogger(__name__)

#: Bytes of Ray's shared memory here: only texts and keys pass through it.
_OBJECT_STORE = 128 * 2**20
#: Seconds to wait for a connection to the cluster's head.
CONNECT_TIMEOUT = 10.0
#: Ray listens on every interface of a machine unless the machine cannot be part of a cluster; this
#: setting declares that.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def require_ray() -> None:
    """Raise GradpipeError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise GradpipeError(
            missing_package("ray", "The study's `engine: ray`", "use `engine: local`")
        )


@dataclass(frozen=True)
class Share:
    """The number of actors on a cluster, and the resources per actor."""

    actors: int
    cpus: float
    gpus: float
    resources: Mapping[str, float]

    def options(self) -> dict[str, Any]:
        """Actor options for Ray. gradpipe replaces dead actors itself: it knows their progress."""
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "resources": dict(self.resources),
            "scheduling_strategy": "SPREAD",
            "max_restarts": 0,
            "max_task_retries": 0,
        }

    def fits(self, machine: Mapping[str, float]) -> bool:
        """Return whether an idle machine has the resources for one actor."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, **self.resources}
        return all(machine.get(name, 0) >= amount for name, amount in wanted.items())

    def __str__(self) -> str:
        wanted = {"CPU": self.cpus, "GPU": self.gpus, **self.resources}
        return ", ".join(f"{amount:g} {name}" for name, amount in wanted.items() if amount)


def share(settings: RayConfig, machines: list[Mapping[str, float]]) -> Share:
    """Return the share from the settings, with defaults for the cluster.

    ``machines`` are the resources per machine. Every actor holds a copy of the model: without GPUs,
    one per machine, with all of its CPUs, is fastest and needs the least memory.
    """
    available_gpus = sum(machine.get("GPU", 0) for machine in machines)
    gpus = settings.gpus if settings.gpus is not None else float(available_gpus > 0)
    working = [machine["CPU"] for machine in machines if machine.get("CPU", 0) > 0] or [1.0]
    if gpus:
        actors = settings.actors or max(1, int(available_gpus / gpus))
        return Share(actors, settings.cpus or 1.0, gpus, settings.resources)
    actors = settings.actors or len(working)
    part = min(*working, sum(working) / actors)
    cpus = settings.cpus or (float(int(part)) if part >= 1 else part)
    return Share(actors, cpus, gpus, settings.resources)


class Connection:
    """This process's connection to a cluster; closing it stops only what it started."""

    def __init__(self, settings: RayConfig) -> None:
        require_ray()
        address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
        require_plain_address(address)
        self._own = not _is_connected()
        self.alone = self._own and address == "local"
        if self._own:
            _connect(address)
        import ray

        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.share = share(settings, machines)
        if self.alone and not self.share.fits(machines[0]):
            self.close()
            raise StudyError(
                f"This machine does not have the resources of an actor ({self.share}): lower the "
                "study's `ray` settings, or set the address of a larger cluster."
            )

    def close(self) -> None:
        """Disconnect from the cluster, and stop it if this process started it."""
        import ray

        if self._own and ray.is_initialized():
            ray.shutdown()


def _is_connected() -> bool:
    # Do not import Ray just for this check: it reads its environment variables at import.
    ray: Any = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _connect(address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        _log.info("starting Ray on this machine")
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
        options |= {"_node_ip_address": "127.0.0.1"}
    with _environment(_QUIET), _alone(address == "local"), _signals_kept():
        import ray

        _require_answer(address)
        try:
            ray.init(address=address, namespace="gradpipe", **options)
        # Many causes: no response, another version of Ray or Python, files that cannot be written.
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise GradpipeError(
                f"The Ray cluster {address!r} cannot be used ({reason}): start one with "
                "`ray start`, correct the address, or remove it to use this machine only."
            ) from error


def _require_answer(address: str) -> None:
    """Raise GradpipeError if nothing listens: Ray would retry for three minutes with log output."""
    import ray

    if address in {"auto", "local"}:
        return
    host, _, port = address.rpartition(":")
    if host in {"localhost", "127.0.0.1", "[::1]"}:
        # As Ray does: the head listens where other machines reach it.
        host = ray.util.get_node_ip_address()
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise GradpipeError(
            f"No response at the Ray address {address!r} ({error}): start the cluster with "
            "`ray start`, correct the address, or remove it to use this machine only."
        ) from error


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while Ray starts, unless the user set them."""
    added = [name for name in settings if name not in os.environ]
    os.environ.update({name: settings[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _alone(alone: bool) -> Iterator[None]:
    """Make processes that Ray starts listen only on the loopback interface."""
    if not alone:
        yield
        return
    with _environment(_ALONE):
        import ray

        # If Ray is already imported, environment variables have no effect.
        constants = ray._private.ray_constants
        before, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
        try:
            yield
        finally:
            constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the SIGTERM handler that Ray replaces: it belongs to the calling program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
