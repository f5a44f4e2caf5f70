"""Find the router, the experts and the shared expert of a mixture in a decoder layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from gradpipe.errors import ModelError
from gradpipe.models.experts import Experts, as_experts
from gradpipe.models.layouts import OutputColumns
from gradpipe.models.places import linear_layers, mlp_places, routed_experts, weight_shape
from gradpipe.models.roles import MIXTURE, MLP, SHARED_EXPERT, Places

#: Words in the path of a router inside its block.
ROUTERS = ("router", "gate", "classifier")
#: Names of the linear layers of a shared expert that are not those of an MLP elsewhere.
FUSED_SHARED = ("input_linear", "output_linear")


@dataclass(frozen=True, kw_only=True)
class RolePlace:
    """Where a role of a mixture is: a module, and the columns of its outputs.

    ``experts`` are those whose gradients the role has. ``inside`` says that the product is computed
    in the module's forward, which returns something else.
    """

    path: str
    module: Any
    columns: OutputColumns = field(default_factory=OutputColumns)
    experts: Experts | None = None
    inside: bool = False


@dataclass(frozen=True, kw_only=True)
class MixturePlaces:
    """The requested roles of a mixture in one decoder layer.

    ``shared`` are the paths of the shared expert's layers, by their roles in an MLP, if any of
    ``shared_roles`` is requested.
    """

    places: dict[str, RolePlace]
    shared: Places
    shared_roles: tuple[str, ...]

    @property
    def roles(self) -> set[str]:
        """The requested roles that the layer has here."""
        return {*self.places, *self.shared_roles}


def mixture_places(
    layer_name: str, layer: nn.Module, names: tuple[str, ...], named: Mapping[str, str]
) -> MixturePlaces:
    """Find the requested roles of a mixture in one decoder layer; ``named`` are paths by role.

    A dense layer has none of them. Raises ModelError if the layer's experts are requested and
    stored in an unknown way.
    """
    linears = linear_layers(layer)
    places = {
        role: RolePlace(path=named[role], module=linears[named[role]])
        for role in names
        if role in MIXTURE and named.get(role) in linears
    }
    found = _experts(layer) if set(names) & {*MIXTURE, *MLP} else None
    experts = tuple(name for name in names if name in MLP)
    routed = found is not None or routed_experts(layer) is not None
    if experts and routed and not set(experts) & set(named):
        places |= _expert_places(layer_name, layer, experts, found)
    if found is None:
        return MixturePlaces(places=places, shared={}, shared_roles=())
    if "router" in names and "router" not in places:
        places |= _router(layer, *found)
    shared = _shared(linears)
    roles = {SHARED_EXPERT[role] for role in shared} & set(names) - set(places)
    return MixturePlaces(
        places=places, shared=shared if roles else {}, shared_roles=tuple(sorted(roles))
    )


def require_mixture(names: tuple[str, ...], found: set[str]) -> None:
    """Raise ModelError for a role of mixtures that no layer of the model has."""
    missing = [name for name in names if name in MIXTURE and name not in found]
    if missing:
        raise ModelError(
            f"No layer of this model has {' or '.join(missing)}: remove {', '.join(missing)} from "
            "`projections`; only mixtures of experts have a router, and some have shared experts."
        )


def _experts(layer: nn.Module) -> tuple[str, Experts] | None:
    """The path of a layer's experts, and the experts."""
    for path, module in layer.named_modules():
        experts = as_experts(module)
        if experts is not None:
            return path, experts
    return None


def _expert_places(
    layer_name: str, layer: nn.Module, requested: tuple[str, ...], found: tuple[str, Experts] | None
) -> dict[str, RolePlace]:
    if found is None:
        raise ModelError(
            f"{layer_name} routes each token to a few of its experts ({routed_experts(layer)}), "
            "which are not fused tensors in a layout that gradpipe knows, as those of most models "
            f"in transformers 5 are: remove {', '.join(requested)} from `projections`, or name the "
            "layers of an expert that every token passes in `layer_names`."
        )
    path, experts = found
    if "gate" in requested and "gate" not in experts.columns:
        raise ModelError(
            f"{layer_name} has experts without a gate ({path}): remove gate from `projections`; up "
            "and down are supported."
        )
    columns = {**experts.columns, "down": OutputColumns()}
    return {
        role: RolePlace(path=path, module=experts.module, columns=columns[role], experts=experts)
        for role in requested
    }


def _router(layer: nn.Module, path: str, experts: Experts) -> dict[str, RolePlace]:
    """The linear layer from a token to one score per expert, in the experts' own module or beside.

    Unlike other linear layers, it may hold further modules.
    """
    parent = path.rpartition(".")[0]
    for block in dict.fromkeys((path, parent)):
        for inner, module in layer.get_submodule(block).named_modules(prefix=block):
            shape, parts = weight_shape(module), inner.removeprefix(parent).split(".")
            if len(shape) == 2 and shape[0] == experts.number and _named_as_router(parts):
                inside = type(module) is not nn.Linear
                return {"router": RolePlace(path=inner, module=module, inside=inside)}
    return {}


def _named_as_router(parts: list[str]) -> bool:
    return any(name in part for part in parts for name in ROUTERS)


def _shared(linears: Mapping[str, nn.Module]) -> Places:
    """The linear layers of the expert that every token passes, by their roles in an MLP."""
    inner = {
        path: module
        for path, module in linears.items()
        if any("shared" in part for part in path.split(".")[:-1])
    }
    by_name = {path.rpartition(".")[2]: path for path in inner}
    if set(FUSED_SHARED) <= set(by_name):
        first, last = (by_name[name] for name in FUSED_SHARED)
        return {"gate": first, "up": first, "down": last}
    return mlp_places(inner, {})
