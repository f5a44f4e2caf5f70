"""The factors of an adapter as projections of their own: A and B of each wrapped layer."""

from __future__ import annotations

from gradpipe.errors import ModelError
from gradpipe.models.adapters.wrappers import factors_of
from gradpipe.models.projections import Projection
from gradpipe.models.roles import ROLES


def adapter_factors(name: str, projections: list[Projection]) -> list[Projection]:
    """Return the factors A [r, d_in] and B [d_out, r] of projections, in layer order.

    They are named by the role of the layer that they change, such as ``q_lora_a`` and ``q_lora_b``;
    a layer that holds several projections has one pair, named by all of them (``qkv_lora_a``).
    Projections that the adapter does not change have none. Raises ModelError if none has.
    """
    factors: dict[tuple[int, str], Projection] = {}
    for projection in projections:
        roles = [p.name for p in projections if p.module is projection.module]
        for factor, (path, module) in factors_of(projection.path, projection.module).items():
            role = f"{_joined(roles)}_{factor}"
            factors[projection.layer, role] = Projection(
                layer=projection.layer,
                name=role,
                path=path,
                module=module,
                layer_type=projection.layer_type,
            )
    if not factors:
        roles = sorted({projection.name for projection in projections})
        raise ModelError(
            f"The adapter of {name or 'this model'} has no factors at {', '.join(roles)}: name the "
            "projections that it changes in `projections`, or measure the merged weights."
        )
    return list(factors.values())


def _joined(roles: list[str]) -> str:
    """``qkv`` for q, k and v; ``gate_up`` for gate and up."""
    single = all(len(role) == 1 for role in roles)
    return ("" if single else "_").join(sorted(roles, key=list(ROLES).index))
