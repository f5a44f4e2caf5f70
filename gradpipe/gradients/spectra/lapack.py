"""BLAS and LAPACK routines on torch's float64 tensors: scipy's library, called directly.

Torch has no symmetric product and no congruence, and its eigenvalues on a CPU take longer. The
routines are called by the addresses that scipy publishes for compiled code: unlike scipy's Python
functions, this copies nothing, and other threads run meanwhile.

The routines expect matrices column by column, and torch has them row by row: to a routine, a tensor
is its transpose. A symmetric matrix is its own, a lower triangle of the routine is an upper one of
torch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

#: Columns that the reduction to tridiagonal form takes at once.
_BLOCK = 32
_LOWER, _TRANSPOSED = b"L", b"T"


def usable(*tensors: Tensor) -> bool:
    """Whether the routines can read these tensors: float64 in host memory."""
    alike = (each.device.type == "cpu" and each.dtype == torch.float64 for each in tensors)
    return all(alike) and _are_there()


def symmetric_product(x: Tensor) -> Tensor:
    """Return XXᵀ [R, n, n] of X [R, n, d] by half of the arithmetic of a full product."""
    x = x.contiguous()
    rows, n, width = x.shape
    products = x.new_zeros(rows, n, n)
    for each, product in zip(x, products, strict=True) if width else ():
        _call("blas", "dsyrk", _LOWER, _TRANSPOSED, n, width, 1.0, each, width, 0.0, product, n)
    return _mirrored(products)


def congruent(factor: Tensor, a: Tensor) -> Tensor:
    """Return LᵀAL [R, n, n] of lower triangular L and symmetric A: n³ multiply-adds."""
    n = a.shape[1]
    # To the routine, Lᵀ row by row is L.
    upper = factor.mT.contiguous()
    products = a.clone(memory_format=torch.contiguous_format)
    for each, product in zip(upper, products, strict=True):
        _call("lapack", "dsygst", 2, _LOWER, n, product, n, each, n, status=True)
    return _mirrored(products)


def host_eigenvalues(matrices: Tensor) -> Tensor:
    """Return the eigenvalues [R, n], ascending, of symmetric matrices [R, n, n].

    Raises RuntimeError if the iteration does not converge, as torch does.
    """
    rows, n, _ = matrices.shape
    work = matrices.clone(memory_format=torch.contiguous_format)
    values = matrices.new_empty(rows, n)
    beside, scales = matrices.new_empty(max(1, n - 1)), matrices.new_empty(max(1, n - 1))
    room = matrices.new_empty(max(1, n * _BLOCK))
    for matrix, row in zip(work, values, strict=True):
        _call(
            *("lapack", "dsytrd", _LOWER, n, matrix, n, row, beside, scales, room, len(room)),
            status=True,
        )
        _call("lapack", "dsterf", n, row, beside, status=True)
    return values


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run each routine on the thread that calls it alone."""
    if not _are_there():
        yield
        return
    limit: Any = import_module("threadpoolctl").threadpool_limits
    # Only a library that is loaded can be limited.
    for library, name in (("blas", "dsyrk"), ("lapack", "dsterf")):
        _routine(library, name)
    with limit(1, user_api="blas"):
        yield


@cache
def _are_there() -> bool:
    """Whether the routines are installed. The benchmark of a GPU runs without them."""
    try:
        for package in ("scipy.linalg.cython_lapack", "threadpoolctl"):
            import_module(package)
    except ImportError:
        return False
    return True


def _mirrored(matrices: Tensor) -> Tensor:
    """Fill in the lower triangles of matrices [R, n, n] from their upper ones, in place."""
    upper = matrices.triu_()
    return upper.add_(upper.mT.tril(-1))


def _call(
    library: str, name: str, *arguments: bytes | int | float | Tensor, status: bool = False
) -> None:
    """Call a routine; with ``status``, its last argument tells whether it failed."""
    failed = ctypes.c_int(0)
    passed = [_reference(argument) for argument in arguments]
    _routine(library, name)(*passed, *([ctypes.byref(failed)] if status else []))
    if failed.value:
        raise RuntimeError(f"{name} failed with the status {failed.value}.")


def _reference(argument: bytes | int | float | Tensor) -> Any:
    """What a routine gets for an argument: Fortran passes all of them by reference."""
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, int):
        return ctypes.byref(ctypes.c_int(argument))
    return ctypes.byref(ctypes.c_double(argument)) if isinstance(argument, float) else argument


@cache
def _routine(library: str, name: str) -> Callable[..., None]:
    """The routine of scipy's ``library``, "blas" or "lapack"."""
    capsule = import_module(f"scipy.linalg.cython_{library}").__pyx_capi__[name]
    signature = ctypes.pythonapi.PyCapsule_GetName
    signature.restype, signature.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None)(address(capsule, signature(capsule)))
