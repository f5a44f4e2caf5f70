"""Torch's libraries are set for a CPU, unless the user knows better."""

import os

import pytest

from gradpipe.system.cpu_settings import PREPARED_PRODUCTS, SPINS, set_up_cpu

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", CAPACITY):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given", "spins"),
    [
        ({}, str(SPINS)),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_wait_as_the_environment_says_else_briefly(
    given: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    set_up_cpu()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_as_many_products_are_kept_as_the_environment_says_else_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_up_cpu()
    assert os.environ[CAPACITY] == str(PREPARED_PRODUCTS)
    monkeypatch.setenv(CAPACITY, "5")
    set_up_cpu()
    assert os.environ[CAPACITY] == "5"
