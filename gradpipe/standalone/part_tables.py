"""The parts of gradients as tables: a mixture's experts and an attention's heads."""

from __future__ import annotations

import polars as pl

from gradpipe.errors import DataError
from gradpipe.statistics.reductions import reduce_spectra

#: What identifies a gradient in a table of spectra.
PLACE = ("example", "span", "layer", "projection")
#: The statistics of a head's part.
HEAD_STATISTICS = (
    "nuclear_norm",
    "spectral_norm",
    "sigma1_ratio",
    "frobenius_norm",
    "effective_rank",
)


def expert_table(spectra: pl.DataFrame) -> pl.DataFrame:
    """The experts behind a mixture's gradients: one row per gradient and expert.

    The gradient of ``gate``, ``up`` or ``down`` in a mixture is that of all experts together. It is
    block-diagonal: each expert that a token reached has one block, and all others are zero. So the
    gradient's singular values are those of the blocks together, its nuclear norm is the sum of
    theirs, and its squared Frobenius norm the sum of their squares.

    Args:
        spectra: The table that ``extract_spectra`` returned, or ``gradpipe extract`` wrote.

    Returns:
        ``example``, ``span``, ``layer`` and ``projection`` as in ``spectra``, ``expert`` (from 0),
        ``tokens`` (how many of the example's tokens reached the expert, prompt included), and of
        the expert's block ``frobenius_norm``, ``nuclear_norm`` and ``effective_rank`` (null if the
        block is zero: no loss depends on the tokens that reached it). Experts that no token reached
        have no row.

    Raises:
        DataError: The table has no experts.

    Examples:
        >>> blocks = [{"expert": 2, "tokens": 5, "frobenius_norm": 3.0, "nuclear_norm": 4.0}]
        >>> place = {"example": 0, "span": None, "layer": 3, "projection": "up"}
        >>> spectra = pl.DataFrame([{**place, "experts": blocks}])
        >>> gp.expert_table(spectra).row(0)
        (0, None, 3, 'up', 2, 5, 3.0, 4.0)
    """
    return _exploded(
        spectra,
        "experts",
        "a mixture's gate, up or down: name them in `projections`",
    ).unnest("experts")


def head_table(spectra: pl.DataFrame) -> pl.DataFrame:
    """The attention heads' parts of gradients: one row per gradient and head.

    A head's part of the gradient of ``q``, ``k`` or ``v`` are the rows that belong to its outputs;
    of ``o``, the columns that belong to its inputs. With grouped queries, ``k`` and ``v`` have
    fewer heads than ``q``.

    Args:
        spectra: The table of ``extract_spectra`` with ``Protocol(heads=True)``, or of ``gradpipe
            extract --heads``.

    Returns:
        ``example``, ``span``, ``layer`` and ``projection`` as in ``spectra``, ``head`` (from 0),
        and of the head's part ``nuclear_norm``, ``spectral_norm``, ``sigma1_ratio``,
        ``frobenius_norm``, ``effective_rank`` and ``singular_values``.

    Raises:
        DataError: The table has no heads.

    Examples:
        >>> pairs = [("Name a color.", "Blue, or a shade of it.")]
        >>> protocol = gp.Protocol(preset="standard", heads=True)
        >>> heads = gp.head_table(gp.extract_spectra(model, tokenizer, pairs, protocol))
        >>> heads.filter(layer=0, projection="q")["head"].to_list()
        [0, 1, 2, 3]
        >>> heads.filter(layer=0, projection="k")["head"].to_list()
        [0, 1]
    """
    each = _exploded(spectra, "heads", "`heads: true` in the protocol, or --heads").unnest("heads")
    reduced = reduce_spectra(each.lazy(), HEAD_STATISTICS)
    return reduced.select(*PLACE, "head", *HEAD_STATISTICS, "singular_values").collect()


def _exploded(spectra: pl.DataFrame, column: str, cure: str) -> pl.DataFrame:
    """One row per part, with the gradient's place; raises DataError without parts."""
    found = spectra.select(*PLACE, column).drop_nulls(column) if column in spectra.columns else None
    if found is None or found.is_empty():
        raise DataError(f"The table has no {column}: extract it again with {cure}.")
    return found.explode(column)
