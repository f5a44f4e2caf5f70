"""Whether a partition's spectra can be trusted: complete, finite, and of the energy they had."""

from collections.abc import Iterable, Sequence

import polars as pl

from gradpipe.check import Check
from gradpipe.gradients.rows import ROW_SCHEMA, explode_matrices

#: Σσ² may differ so much, relatively, from the Frobenius norm squared: singular values are kept in
#: single precision, which rounds each by up to 6e-8.
STORED_ENERGY_TOLERANCE = 1e-6


def check_rows(rows: pl.DataFrame, unusable_limit: float) -> Check:
    """The share of unusable rows is not above the limit; ``rows`` has ``reason``."""
    unusable = rows.filter(pl.col("reason").is_not_null()).height
    share = unusable / max(rows.height, 1)
    return Check(
        "rows_usable",
        share <= unusable_limit,
        f"{unusable} of {rows.height} rows cannot be used ({unusable_limit:.0%} are allowed)",
        {"unusable": unusable, "rows": rows.height, "share": share},
    )


def check_spectra(
    rows: pl.DataFrame, spectra: Iterable[pl.DataFrame], projections: Sequence[str]
) -> list[Check]:
    """Every usable row has every layer and projection, finite, with Σσ² = ‖G‖²_F.

    ``rows`` are the partition's rows without their matrices (``key``, ``reason``, ``loss``);
    ``spectra`` the same rows as frames of ROW_SCHEMA with ``key``, each once, in any portions.
    """
    usable = rows.filter(pl.col("reason").is_null()).unique("key")
    portions = [_portion(frame) for frame in spectra]
    found = (
        pl.concat([_portion(pl.DataFrame(schema=ROW_SCHEMA)), *portions])
        .group_by("layer", "projection")
        .agg(pl.col("matrices", "broken").sum(), pl.col("gap").max())
    )
    return [_complete(found, usable.height, projections), _finite(found, usable), _energy(found)]


def _portion(spectra: pl.DataFrame) -> pl.DataFrame:
    """A few rows' matrices, counted by layer and projection."""
    squares = pl.element().cast(pl.Float64).pow(2)
    energy = pl.col("singular_values").list.eval(squares).list.sum()
    squared_norm = pl.col("frobenius_norm").pow(2)
    finite = energy.is_finite() & squared_norm.is_finite()
    gap = (energy - squared_norm).abs() / pl.max_horizontal(squared_norm, energy)
    return (
        explode_matrices(spectra.lazy().select("reason", "matrices"))
        .select(
            "layer",
            "projection",
            (~finite).alias("broken"),
            pl.when(finite & (energy > 0)).then(gap).alias("gap"),
        )
        .group_by("layer", "projection")
        .agg(pl.len().alias("matrices"), pl.col("broken").sum(), pl.col("gap").max())
        .collect()
    )


def _complete(found: pl.DataFrame, usable: int, projections: Sequence[str]) -> Check:
    there = {
        (layer, projection): count
        for layer, projection, count in found.select("layer", "projection", "matrices").iter_rows()
    }
    layers = max((layer + 1 for layer, _ in there), default=0)
    wanted = [(layer, projection) for layer in range(layers) for projection in projections]
    lacking = [where for where in wanted if there.get(where, 0) != usable]
    other = [where for where in there if where not in set(wanted)]
    passed = not lacking and not other and (usable == 0 or layers > 0)
    note = f"{usable} usable rows × {layers} layers × {len(projections)} projections"
    if not passed:
        layer, projection = (lacking or other or [("every", "projection")])[0]
        note += f", but layer {layer}, {projection}, has {there.get((layer, projection), 0)}"
    return Check(
        "every_layer_and_projection",
        passed,
        note,
        {"rows": usable, "layers": layers, "matrices": int(found["matrices"].sum())},
    )


def _finite(found: pl.DataFrame, usable: pl.DataFrame) -> Check:
    broken = int(found["broken"].sum())
    losses = int((~usable["loss"].is_finite()).fill_null(True).sum())
    return Check(
        "all_finite",
        not broken and not losses,
        f"{broken} matrices and {losses} losses are not finite",
        {"matrices": broken, "losses": losses},
    )


def _energy(found: pl.DataFrame) -> Check:
    gap = max(found["gap"].drop_nulls(), default=0.0)
    return Check(
        "energy_is_frobenius",
        gap <= STORED_ENERGY_TOLERANCE,
        f"Σσ² and the squared Frobenius norm differ by at most {gap:.1e} (relative)",
        {"largest_gap": gap},
    )
