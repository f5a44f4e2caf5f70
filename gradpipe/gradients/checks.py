"""Check that the spectra of a partition are complete, finite and consistent with their norms."""

from collections.abc import Iterable, Sequence

import polars as pl

from gradpipe.check import Check
from gradpipe.gradients.rows import ROW_SCHEMA, explode_matrices
from gradpipe.models.equal_weights import equal_weights_note

#: The name of ``check_weights``.
WEIGHTS_CHECK = "distinct_weights"
#: Largest relative difference between Σσ² and the squared Frobenius norm. Stored singular values
#: are float32, which rounds each of them by up to 6e-8.
STORED_ENERGY_TOLERANCE = 1e-6


def check_rows(rows: pl.DataFrame, unusable_limit: float) -> Check:
    """Check that the share of rows with a ``reason`` is at most ``unusable_limit``.

    The result also says how many of the other rows were cut to the window.
    """
    truncated = rows.filter(pl.col("reason").is_null() & pl.col("truncated")).height
    cut = f"; {truncated} usable rows are cut to the window" if truncated else ""
    unusable = rows.filter(pl.col("reason").is_not_null()).height
    share = unusable / max(rows.height, 1)
    return Check(
        "rows_usable",
        share <= unusable_limit,
        f"{unusable} of {rows.height} rows cannot be used ({unusable_limit:.0%} are allowed){cut}",
        {"unusable": unusable, "rows": rows.height, "share": share, "truncated": truncated},
    )


def check_weights(model: str, equal: Sequence[Sequence[str]]) -> Check:
    """Check that no other model of the study has the weights of ``model``.

    ``equal`` are the groups of models with the same weights.
    """
    group = next((names for names in equal if model in names), ())
    note = (
        equal_weights_note(group).removesuffix(".") if group else "no other model has its weights"
    )
    return Check(WEIGHTS_CHECK, not group, note, {"models_with_its_weights": max(len(group), 1)})


def check_spectra(
    rows: pl.DataFrame, spectra: Iterable[pl.DataFrame], projections: Sequence[str]
) -> list[Check]:
    """Check that usable rows have all layers and projections, finite, with Σσ² = ‖G‖²_F.

    Projections may be missing in layers if the rows say so in ``gaps``, or, in rows of earlier
    versions without it, if the model mixes layers of several types. With no ``projections``, as for
    an adapter's factors, all rows must have the same ones.
    ``rows`` are the partition's rows without their matrices (``key``, ``reason``, ``loss``).
    ``spectra`` are the same rows as frames of ROW_SCHEMA with ``key``, split in any way.
    """
    usable = rows.filter(pl.col("reason").is_null()).unique("key")
    summaries = [_summarize(frame) for frame in spectra]
    summary = (
        pl.concat([_summarize(pl.DataFrame(schema=ROW_SCHEMA)), *summaries])
        .group_by("layer", "projection")
        .agg(
            pl.col("matrices", "broken", "without").sum(),
            pl.col("gap").max(),
            pl.col("mixed").any(),
        )
    )
    return [
        _check_complete(summary, usable.height, projections),
        _check_finite(summary, usable),
        _check_energy(summary),
    ]


def _summarize(spectra: pl.DataFrame) -> pl.DataFrame:
    """Count the matrices of some rows by layer and projection.

    ``broken`` is the number of non-finite matrices, ``gap`` the largest relative difference between
    Σσ² and ‖G‖²_F. ``mixed`` says whether the layer has a type, ``without`` in how many rows it
    is without the projection.
    """
    squares = pl.element().cast(pl.Float64).pow(2)
    energy = pl.col("singular_values").list.eval(squares).list.sum()
    squared_norm = pl.col("frobenius_norm").pow(2)
    finite = energy.is_finite() & squared_norm.is_finite()
    gap = (energy - squared_norm).abs() / pl.max_horizontal(squared_norm, energy)
    usable = spectra.lazy().filter(pl.col("reason").is_null())
    without = usable.select("gaps").explode("gaps").drop_nulls().unnest("gaps")
    measured = (
        explode_matrices(spectra.lazy().select("reason", "matrices"))
        .select(
            "layer",
            "projection",
            (~finite).alias("broken"),
            pl.when(finite & (energy > 0)).then(gap).alias("gap"),
            pl.col("layer_type").is_not_null().alias("mixed"),
        )
        .group_by("layer", "projection")
        .agg(
            pl.len().alias("matrices"),
            pl.col("broken").sum(),
            pl.col("gap").max(),
            pl.col("mixed").any(),
        )
    )
    gaps = without.group_by("layer", "projection").agg(pl.len().alias("without"))
    counts = pl.col("matrices", "broken", "without").fill_null(0)
    return (
        measured.join(gaps, on=("layer", "projection"), how="full", coalesce=True)
        .with_columns(counts, pl.col("mixed").fill_null(False))
        .collect()
    )


def _check_complete(summary: pl.DataFrame, usable: int, projections: Sequence[str]) -> Check:
    columns = summary.select("layer", "projection", "matrices", "without")
    counts = {(layer, name): count for layer, name, count, _ in columns.iter_rows() if count}
    without = {(layer, name) for layer, name, _, count in columns.iter_rows() if count}
    layers = max((layer + 1 for layer, _ in {*counts, *without}), default=0)
    present = {name for _, name in counts}
    named = projections or sorted(present)
    places = [(layer, projection) for layer in range(layers) for projection in named]
    if not projections:
        # An adapter's factors are in the layers that the adapter is in.
        gaps = set(places) - set(counts)
    elif not set(named) <= present:
        gaps = set()
    elif without:
        gaps = without - set(counts)
    else:
        # Rows of earlier versions do not list their gaps.
        mixed = bool(summary["mixed"].any())
        gaps = set(places) - set(counts) if mixed else set()
    expected = [place for place in places if place not in gaps]
    incomplete = [place for place in expected if counts.get(place, 0) != usable]
    unexpected = [place for place in counts if place not in set(expected)]
    passed = not incomplete and not unexpected and (usable == 0 or layers > 0)
    note = f"{usable} usable rows × {layers} layers × {len(named)} projections"
    if not passed:
        layer, projection = (incomplete or unexpected or [("every", "projection")])[0]
        note += f", but layer {layer}, {projection}, has {counts.get((layer, projection), 0)}"
    return Check(
        "every_layer_and_projection",
        passed,
        note,
        {"rows": usable, "layers": layers, "matrices": int(summary["matrices"].sum())},
    )


def _check_finite(summary: pl.DataFrame, usable: pl.DataFrame) -> Check:
    broken = int(summary["broken"].sum())
    losses = int((~usable["loss"].is_finite()).fill_null(True).sum())
    return Check(
        "all_finite",
        not broken and not losses,
        f"{broken} matrices and {losses} losses are not finite",
        {"matrices": broken, "losses": losses},
    )


def _check_energy(summary: pl.DataFrame) -> Check:
    gap = max(summary["gap"].drop_nulls(), default=0.0)
    return Check(
        "energy_is_frobenius",
        gap <= STORED_ENERGY_TOLERANCE,
        f"Σσ² and the squared Frobenius norm differ by at most {gap:.1e} (relative)",
        {"largest_gap": gap},
    )
