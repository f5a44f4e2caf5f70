"""The methods that ``python -m bench peers`` compares, and where it finds other projects."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gradpipe.errors import DataError, nearest


@dataclass(frozen=True, kw_only=True)
class PeerMethod:
    """A method, the module of its adapter, and what it delivers per example.

    A method of another project has ``install``, a sentence on how to install it. ``python`` and
    ``checkout`` are environment variables: the Python executable that runs it, and its source.
    ``package`` is the package that it needs. ``tuned``: a process of its own first chooses the
    batching, as its fastest on rows around the median length. ``options`` are those of the adapter.
    """

    name: str
    adapter: str
    delivers: str
    install: str = ""
    python: str | None = None
    checkout: str | None = None
    package: str | None = None
    tuned: bool = False
    options: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        """Whether the method is part of gradpipe or its bench."""
        return not self.install

    def executable(self) -> str:
        """The Python executable for the method; raises DataError if the named one is missing."""
        return str(_place(self.python) or sys.executable)

    def source(self) -> str | None:
        """The method's checkout; raises DataError if the named folder is missing."""
        place = _place(self.checkout)
        return None if place is None else str(place)

    def missing(self) -> bool:
        """Whether the method cannot run because nothing says where it is."""
        if self.checkout is not None:
            return _place(self.checkout) is None
        if self.python is None or _place(self.python) is not None:
            return False
        return self.package is not None and find_spec(self.package) is None


#: The method that all others are compared with.
OURS = "gradpipe"
METHODS = (
    PeerMethod(
        name="bare",
        adapter="bench.peers_own",
        delivers="losses: the lower bound of any method",
        tuned=True,
        options={"method": "bare"},
    ),
    PeerMethod(
        name=OURS,
        adapter="bench.peers_own",
        delivers="all singular values, statistics, cosines",
        package="gradpipe",
        options={"method": "ours", "aligned": True},
    ),
    PeerMethod(
        name="gradpipe-spectra",
        adapter="bench.peers_own",
        delivers="all singular values, statistics",
        package="gradpipe",
        options={"method": "ours", "aligned": False},
    ),
    PeerMethod(
        name="naive",
        adapter="bench.peers_own",
        delivers="all singular values",
        options={"method": "naive"},
    ),
    PeerMethod(
        name="reference",
        adapter="bench.peers_reference",
        delivers="nuclear, spectral and Frobenius norms",
        install="set REFERENCE to a checkout of github.com/MingLiiii/Layer_Gradient",
        python="REFERENCE_PYTHON",
        checkout="REFERENCE",
        options={},
    ),
    PeerMethod(
        name="bergson",
        adapter="bench.peers_bergson",
        delivers="one projected gradient per matrix (16 × 16), no spectra",
        install="`pip install bergson` in a virtual environment; BERGSON_PYTHON is its Python",
        python="BERGSON_PYTHON",
        package="bergson",
        tuned=True,
        options={"projection": 16},
    ),
    PeerMethod(
        name="datascorer",
        adapter="bench.peers_datascorer",
        delivers="nuclear norms of Q, K, V and O, mean over the layers",
        install="set DATASCORER to a checkout of github.com/OpenDataArena/ODA-DataScorer",
        python="DATASCORER_PYTHON",
        checkout="DATASCORER",
        options={"scorer": "NuclearNormScorer"},
    ),
)


def choose_methods(names: tuple[str, ...]) -> list[PeerMethod]:
    """The methods of these names, or all; raises DataError for an unknown name."""
    by_name = {method.name: method for method in METHODS}
    for name in names:
        if name not in by_name:
            raise DataError(f"There is no method {name!r}: {nearest(name, list(by_name))}")
    return [method for method in METHODS if not names or method.name in names]


def _place(variable: str | None) -> Path | None:
    """The path in an environment variable; None if it is not set."""
    if variable is None or not os.environ.get(variable):
        return None
    # A virtual environment's Python is a link: resolved, it would be that of the system.
    path = Path(os.environ[variable]).expanduser().absolute()
    if not path.exists():
        raise DataError(f"{path}, which {variable} names, does not exist: correct the variable.")
    return path
