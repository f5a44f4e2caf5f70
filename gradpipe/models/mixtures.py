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
    ``shared_roles`` is requested. ``handled`` are the roles that are not to be looked for elsewhere
    in the layer.
    """

    places: dict[str, RolePlace]
    shared: Places
    shared_roles: tuple[str, ...]
    handled: frozenset[str]

    @property
    def roles(self) -> set[str]:
        """The requested roles that the layer has here."""
        return {*self.places, *self.shared_roles}


def mixture_places(
    layer: nn.Module, names: tuple[str, ...], named: Mapping[str, str]
) -> MixturePlaces:
    """Find the requested roles of a mixture in one decoder layer; ``named`` are paths by role.

    A dense layer has none of them, and a role that is named is nowhere else. Experts that are
    stored in an unknown way are not found: see ``experts_error``.
    """
    linears = linear_layers(layer)
    places = {
        role: _place(role, named[role], linears[named[role]])
        for role in names
        if role in MIXTURE and named.get(role) in linears
    }
    found = _experts(layer) if set(names) & {*MIXTURE, *MLP} else None
    experts = tuple(name for name in names if name in MLP)
    own = bool(experts) and not set(experts) & set(named)
    own = own and (found is not None or routed_experts(layer) is not None)
    handled = frozenset((*MIXTURE, *experts) if own else MIXTURE)
    if found is None:
        return MixturePlaces(places=places, shared={}, shared_roles=(), handled=handled)
    if own:
        places |= _expert_places(*found, experts)
    if "router" in names and "router" not in named:
        places |= _router(layer, *found)
    shared = _shared(linears)
    roles = {SHARED_EXPERT[role] for role in shared} & set(names) - set(named)
    return MixturePlaces(
        places=places,
        shared=shared if roles else {},
        shared_roles=tuple(sorted(roles)),
        handled=handled,
    )


def experts_error(layer_name: str, layer: nn.Module, missing: list[str]) -> ModelError | None:
    """Explain why a layer's experts do not have some roles of an MLP; None without a mixture."""
    found = _experts(layer)
    if found is not None:
        if missing != ["gate"]:
            return None
        return ModelError(
            f"{layer_name} has experts without a gate ({found[0]}): remove gate from "
            "`projections`; up and down are supported."
        )
    path = routed_experts(layer)
    if path is None or not set(missing) & set(MLP):
        return None
    return ModelError(
        f"{layer_name} routes each token to a few of its experts ({path}), which are not fused "
        "tensors in a layout that gradpipe knows, as those of most models in transformers 5 are: "
        f"remove {', '.join(missing)} from `projections`, or name the layers of an expert that "
        "every token passes in `layer_names`."
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


def _expert_places(path: str, experts: Experts, requested: tuple[str, ...]) -> dict[str, RolePlace]:
    columns = {**experts.columns, "down": OutputColumns()}
    return {
        role: RolePlace(path=path, module=experts.module, columns=columns[role], experts=experts)
        for role in requested
        if role in columns
    }


def _place(role: str, path: str, module: nn.Module) -> RolePlace:
    """The place of one whole layer; a router's module may return more than its product."""
    inside = role == "router" and type(module) is not nn.Linear
    return RolePlace(path=path, module=module, inside=inside)


def _router(layer: nn.Module, path: str, experts: Experts) -> dict[str, RolePlace]:
    """The linear layer from a token to one score per expert, in the experts' own module or beside.

    Unlike other linear layers, it may hold further modules.
    """
    parent = path.rpartition(".")[0]
    for block in dict.fromkeys((path, parent)):
        for inner, module in layer.get_submodule(block).named_modules(prefix=block):
            shape, parts = weight_shape(module), inner.removeprefix(parent).split(".")
            if len(shape) == 2 and shape[0] == experts.number and _named_as_router(parts):
                return {"router": _place("router", inner, module)}
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
