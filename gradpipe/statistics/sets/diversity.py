"""Diversity of a set of gradients: how many different directions its examples have.

The measure is the Vendi score (Friedman and Dieng 2023, https://arxiv.org/abs/2210.02410) of the
cosines between the examples' gradients, called G-Vendi by Jung et al. (2025,
https://arxiv.org/abs/2505.20161): for n examples and their cosines K (n × n),

    V = exp(−Σ λ ln λ), λ the eigenvalues of K / n.

V is 1 if all gradients have one direction, and n if they are orthogonal. It grows with n, so sets
are compared at one size k < n: as the mean of ln V over random subsets of k different examples. A
bootstrap, which draws with replacement, would repeat examples, and repeats are not diverse.

Intervals are those of the delete-d jackknife (Shao and Wu 1989,
https://doi.org/10.1214/aos/1176347263), d = n − k: the variance of ln V between subsets, times
k / (n − k). In simulations with 17 to 100 clustered, correlated and unrelated examples they hold
the mean over new samples of size k in 90 to 100 % of the cases.

Sketches make V too small: entropy is concave, so unbiased errors of K lower it, by an amount that
falls with the number of values per sketch, m, like 1 / m. So half of each sketch doubles it, and
ln V is corrected by the difference between the whole sketches and the mean of their two halves
(Quenouille 1956). For n unrelated gradients, V is n · exp(−n / 2m) before.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradpipe.errors import DataError

_Array = NDArray[np.float64]
#: Random subsets of each size.
SUBSETS = 32
#: How many of them the bias is estimated from, as a mean of differences that vary little.
CORRECTED_SUBSETS = 8
#: The smallest size at which sets are compared; the others are its doubles.
LEAST_SIZE = 4
#: Numbers of principal directions whose share of the energy is measured.
TOP_DIRECTIONS = (1, 4, 16)
_NO_SHARES: dict[str, float | None] = {f"top{k}_share": None for k in TOP_DIRECTIONS}
#: Eigenvalues below this share of their sum are rounding errors.
_ROUNDING = 1e-12


def vendi_score(vectors: ArrayLike) -> float:
    """Compute the effective number of different directions among vectors (the Vendi score).

    The exponential of the entropy of the eigenvalues of K / n, where K has the cosines of the n
    vectors. For the vectors, take gradients, sketches of them, or any other features.

    Args:
        vectors: Numbers [n, d], one row per example. Rows of zeros have no direction and are left
            out.

    Returns:
        A number between 1 (one direction) and n (all vectors are orthogonal).

    Raises:
        DataError: ``vectors`` is not a finite table of numbers, or all rows are zero.

    Examples:
        >>> round(gp.vendi_score([[1, 0, 0], [0, 2, 0], [0, 0, 3]]), 6)
        3.0
        >>> round(gp.vendi_score([[1, 0], [2, 0], [0, 1], [0, 1]]), 6)
        2.0
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all() or not rows.any():
        raise DataError(
            "The vectors are not a table [n, d] of finite numbers with a row that is not zero: "
            "give one row of numbers per example."
        )
    largest = np.abs(rows).max(1, keepdims=True)
    rows = rows[largest[:, 0] > 0] / largest[largest[:, 0] > 0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # K and its d × d counterpart have the same eigenvalues but for zeros.
    product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    return float(np.exp(kernel_entropies(product / len(rows))))


def kernel_entropies(kernels: _Array) -> _Array:
    """The entropy −Σ λ ln λ of the eigenvalues of each symmetric matrix [..., n, n] of trace 1."""
    return _entropies(np.asarray(np.linalg.eigvalsh(kernels), dtype=np.float64))


def matched_sizes(examples: int) -> list[int]:
    """The sizes below the number of ``examples`` at which a set is compared with others."""
    doubles = (LEAST_SIZE << power for power in range(examples.bit_length()))
    return [size for size in doubles if size < examples]


def diversity_by_size(
    cosines: _Array, halves: _Array | None = None
) -> Iterator[dict[str, float | int | None]]:
    """Yield the diversity of a set at each of its matched sizes, and of the whole set.

    ``cosines`` [n, n] are those of its examples, and ``halves`` [2, n, n] their estimates from two
    halves of every sketch; without them nothing is corrected. Each dict has ``size``;
    ``ln_diversity``, a mean over subsets; its ``error`` (standard error, None for the whole set);
    ``sketch_bias``, which is subtracted from it already; and ``top1_share``, ``top4_share`` and
    ``top16_share``: the mean share of the energy of an example outside the subset in the subset's
    principal directions. Shares are None if the subset has more than half of the examples,
    or too few for that number of directions.
    """
    n = len(cosines)
    for size in matched_sizes(n):
        inside = _subsets(n, size)
        parts = _parts(cosines, inside)
        shares = dict(_NO_SHARES)
        if 2 * size <= n:
            values, directions = np.linalg.eigh(parts)
            entropies = _entropies(values)
            shares |= _held_out_shares(cosines, inside, values * size, directions)
        else:
            entropies = kernel_entropies(parts)
        bias = _sketch_bias(entropies, halves, inside)
        yield {
            "size": size,
            "ln_diversity": float(entropies.mean()) - (bias or 0.0),
            "error": float(np.sqrt(entropies.var(ddof=1) * size / (n - size))),
            "sketch_bias": bias,
            **shares,
        }
    whole = kernel_entropies(cosines[None] / n)
    bias = _sketch_bias(whole, halves, np.arange(n)[None])
    ln_diversity = float(whole[0]) - (bias or 0.0)
    yield {
        "size": n,
        "ln_diversity": ln_diversity,
        "error": None,
        "sketch_bias": bias,
        **_NO_SHARES,
    }


def _sketch_bias(
    entropies: _Array, halves: _Array | None, inside: NDArray[np.int64]
) -> float | None:
    """The bias of the entropies of subsets [subsets]; None without ``halves``."""
    if halves is None:
        return None
    inside = inside[:CORRECTED_SUBSETS]
    of_halves = np.mean([kernel_entropies(_parts(half, inside)) for half in halves], axis=0)
    bias = (of_halves - entropies[:CORRECTED_SUBSETS]).mean()
    # The corrected entropy stays within its bounds: one direction, and all of them orthogonal.
    mean = entropies.mean()
    return float(np.clip(bias, mean - np.log(inside.shape[1]), mean))


def _parts(cosines: _Array, inside: NDArray[np.int64]) -> _Array:
    """The kernels [subsets, k, k] of subsets [subsets, k], of trace 1."""
    parts: _Array = cosines[inside[:, :, None], inside[:, None, :]] / inside.shape[1]
    return parts


def _entropies(values: _Array) -> _Array:
    used = values > _ROUNDING
    entropies: _Array = -np.where(used, values * np.log(np.where(used, values, 1)), 0).sum(-1)
    return entropies


def _subsets(n: int, size: int) -> NDArray[np.int64]:
    """Random subsets [SUBSETS, size] of the numbers below n, always the same ones."""
    draws = np.random.default_rng([n, size]).random((SUBSETS, n))
    return np.sort(np.argsort(draws, axis=1)[:, :size], axis=1)


def _held_out_shares(
    cosines: _Array, inside: NDArray[np.int64], values: _Array, directions: _Array
) -> dict[str, float | None]:
    """Mean shares of the energy of examples outside each subset in its principal directions.

    ``values`` [subsets, k] and ``directions`` [subsets, k, k] are the eigenvalues, ascending, and
    eigenvectors of the subsets' cosines. The unit vector along direction a is Σᵢ uᵢₐ gᵢ / √λₐ.
    """
    size, n = inside.shape[1], len(cosines)
    outside = np.ones((len(inside), n), dtype=bool)
    np.put_along_axis(outside, inside, values=False, axis=1)
    most = min(max(TOP_DIRECTIONS), size)
    largest, top = values[:, -most:], directions[:, :, -most:]
    usable = largest > _ROUNDING * size
    along = top.mT @ cosines[inside]
    energy = along**2 * (usable / np.where(usable, largest, 1))[:, :, None]
    means = (energy * outside[:, None, :]).sum(2).mean(0)[::-1] / (n - size)
    return {f"top{k}_share": float(means[:k].sum()) if k < size else None for k in TOP_DIRECTIONS}
