"""Which cluster, how many actors, how much of it each takes; and a machine without Ray."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import pytest

from gradpipe.engines.connection import Connection, require_ray, share
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import GradpipeError, StudyError

BIG = {"CPU": 32.0, "GPU": 8.0}
SMALL = {"CPU": 4.0}


@pytest.mark.parametrize(
    ("settings", "machines", "actors", "cpus", "gpus"),
    [
        ({}, [BIG, BIG], 16, 1, 1),
        ({"gpus": 2}, [BIG, BIG], 8, 1, 2),
        ({"gpus": 0.5}, [BIG], 16, 1, 0.5),
        ({"actors": 3, "cpus": 4}, [BIG], 3, 4, 1),
        ({"gpus": 0}, [BIG, SMALL], 2, 4, 0),
        ({}, [SMALL], 1, 4, 0),
        ({}, [SMALL, SMALL, {"CPU": 0.0}], 2, 4, 0),
        ({"actors": 2}, [SMALL], 2, 2, 0),
        ({"actors": 8}, [SMALL], 8, 0.5, 0),
        ({"actors": 3}, [SMALL], 3, 1, 0),
    ],
)
def test_what_is_not_said_is_taken_from_the_cluster(
    settings: dict[str, Any],
    machines: list[Mapping[str, float]],
    actors: int,
    cpus: float,
    gpus: float,
) -> None:
    found = share(RayConfig.model_validate(settings), machines)
    assert (found.actors, found.cpus, found.gpus) == (actors, cpus, gpus)


def test_a_machine_has_room_for_what_it_offers() -> None:
    wanted = share(RayConfig(cpus=4, gpus=1, resources={"fast": 1}), [BIG])
    assert wanted.fits({"CPU": 4.0, "GPU": 1.0, "fast": 1.0})
    assert not wanted.fits({"CPU": 4.0, "GPU": 1.0})
    assert not wanted.fits({"CPU": 2.0, "GPU": 1.0, "fast": 1.0})
    assert str(wanted) == "4 CPU, 1 GPU, 1 fast"


def test_where_ray_is_not_installed_a_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(GradpipeError, match=r'needs Ray: pip install "gradpipe\[ray\]"'):
        require_ray()
    with pytest.raises(GradpipeError, match="needs Ray"):
        Connection(RayConfig())


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265"])
def test_an_address_for_other_programs_is_refused_from_wherever_it_comes(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StudyError, match="outside of the cluster"):
        RayConfig(address=address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(StudyError, match="outside of the cluster"):
        Connection(RayConfig())


def test_amounts_above_one_are_whole() -> None:
    assert RayConfig(gpus=0.25, cpus=2, resources={"fast": 0.5})
    for amounts in ({"cpus": 1.5}, {"gpus": 2.5}, {"resources": {"fast": 1.5}}):
        with pytest.raises(StudyError, match="whole numbers only"):
            RayConfig.model_validate(amounts)


@pytest.mark.parametrize("address", ["head", "head:port", "head:1:2", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(
        (StudyError, ValueError), match=r"is not a valid Ray address: use auto|at least 1 character"
    ):
        RayConfig(address=address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-machine.invalid:6379", "head:99999"])
def test_a_cluster_that_does_not_answer_is_said_at_once(address: str) -> None:
    with pytest.raises(GradpipeError, match="No response at the Ray address"):
        Connection(RayConfig(address=address))
