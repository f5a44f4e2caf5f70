"""Take the gradient factors of a mixture: those of each expert's tokens, and the router's.

A module of experts computes its outputs here, one expert after another, by its own weights and its
own activation: fused implementations give neither the inputs nor the gradients of an expert. Its
outputs are compared with those of its own implementation once, before they are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from inspect import signature
from types import MethodType
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gradpipe.errors import ModelError
from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.gradients.spectra.routing import Routing
from gradpipe.models.experts import Experts
from gradpipe.models.projections import Projection

#: Receives X and D of the tokens that reached an expert, [pairs, d_in] and [pairs, d_out].
RoutedSink = Callable[[Projection, Tensor, Tensor, Routing], None]
#: Tokens on which outputs are compared. Their largest difference, relative to their norm, is
#: ROUNDINGS times the dtype's eps, but no more than MOST_APART in half precision.
COMPARED_TOKENS = 4
ROUNDINGS = 256.0
MOST_APART = 0.03
#: Modules whose outputs here were equal to their own.
_compared: WeakSet[Any] = WeakSet()


@contextmanager
def expert_factors(
    sink: RoutedSink, projections: list[Projection], batch: list[int]
) -> Iterator[None]:
    """While open, each backward pass passes the factors of all experts to ``sink``.

    ``projections`` are those with ``experts``; ``batch`` is [rows, T] of the current pass. Raises
    ModelError if a module of experts does not compute what its weights say.
    """
    forwards = {}
    for experts in {id(p.module): p.experts for p in projections if p.experts}.values():
        own = [p for p in projections if p.module is experts.module]
        forwards[experts.module] = _as_loaded(_Forward(experts, sink, own, batch))
    with replaced_forwards(forwards):
        yield


@contextmanager
def router_factors(
    take: Callable[[Projection, Tensor, Tensor], None], projections: list[Projection]
) -> Iterator[None]:
    """While open, ``take`` gets X and the output of each product ``inside`` another module.

    Raises ModelError if a module does not compute exactly one such product.
    """
    with ExitStack() as stack:
        forwards = {p.module: _watched(take, p) for p in projections}
        stack.enter_context(replaced_forwards(forwards))
        yield


class _Chosen(NamedTuple):
    """Pairs of an expert and a token: where the input is among a module's, and the weight."""

    experts: Tensor
    tokens: Tensor
    sources: Tensor
    weights: Tensor | None


class _Forward:
    """The forward of a module of experts, with hooks on the gradients of its two products."""

    def __init__(
        self, experts: Experts, sink: RoutedSink, projections: list[Projection], batch: list[int]
    ) -> None:
        self.experts = experts
        self._sink = sink
        self._first = [p for p in projections if p.name != "down"]
        self._last = [p for p in projections if p.name == "down"]
        self._batch = batch
        self._signature = signature(_own_forward(experts.module))
        self._path = projections[0].path

    def __call__(self, *inputs: Any, **settings: Any) -> Tensor:
        """Compute the module's outputs."""
        # In their order, however they are given.
        given = self._signature.bind(*inputs, **settings).args
        if self.experts.module not in _compared:
            self._compare(*given)
        return self._outputs(*given)

    def _outputs(self, hidden: Tensor, *routing: Tensor, hooked: bool = True) -> Tensor:
        """Outputs like ``hidden``; ``routing`` are each token's experts and their weights."""
        experts = self.experts
        tokens = hidden.reshape(-1, experts.inputs)
        chosen = self._chosen(tokens, *routing)
        pairs = Routing(chosen.experts, chosen.tokens, experts.number, self._batch[-1])
        if hooked:
            self._check(len(tokens) // (experts.number if experts.called == "stacked" else 1))
        counts = torch.bincount(chosen.experts, minlength=experts.number).tolist()
        first = _each(experts.first, tokens[chosen.sources].split(counts))
        between = experts.between(first)
        last = _each(experts.last, between.split(counts))
        if hooked and first.requires_grad:
            self._hook(self._first, first, lambda: tokens.detach()[chosen.sources], pairs)
            inner = between.detach()
            self._hook(self._last, last, lambda: inner, pairs)
        outputs = experts.after(last)
        outputs = outputs if chosen.weights is None else outputs * chosen.weights[:, None]
        summed = torch.zeros_like(tokens).index_add(0, chosen.sources, outputs.to(tokens.dtype))
        if experts.called == "whole":
            summed = summed + experts.module.bias
        return summed.reshape(hidden.shape)

    def _chosen(self, tokens: Tensor, *routing: Tensor) -> _Chosen:
        """The pairs of an expert and a token that reaches it, sorted by expert."""
        experts = self.experts
        if experts.called == "stacked":
            each = tokens.unflatten(0, (experts.number, -1))
            number, places = (each != 0).any(-1).nonzero(as_tuple=True)
            return _Chosen(number, places, number * each.shape[1] + places, None)
        if experts.called == "whole":
            _, places, weights, sizes, _ = experts.module.router(tokens)
            numbers = torch.arange(experts.number, device=places.device)
            number = numbers.repeat_interleave(torch.tensor(sizes, device=places.device))
            return _Chosen(number, places, places, weights)
        index, weights = routing
        number, order = index.flatten().sort(stable=True)
        # A number behind the last expert's means none.
        number = number[number < experts.number]
        order = order[: len(number)]
        places = order // index.shape[-1]
        return _Chosen(number, places, places, weights.flatten()[order])

    def _hook(
        self,
        projections: list[Projection],
        output: Tensor,
        inputs: Callable[[], Tensor],
        pairs: Routing,
    ) -> None:
        if not projections:
            return

        def backward(gradient: Tensor) -> None:
            x = inputs()
            for projection in projections:
                self._sink(projection, x, projection.columns.take(gradient), pairs)

        output.register_hook(backward)

    def _check(self, tokens: int) -> None:
        if tokens != math.prod(self._batch):
            raise ModelError(
                f"{self._path} sees {tokens} of a batch of {math.prod(self._batch)} tokens: "
                "gradpipe cannot compute its gradient; remove it from `projections`."
            )

    def _compare(self, hidden: Tensor, *routing: Tensor) -> None:
        """Compare a few tokens' outputs with those of the module's own implementation."""
        experts = self.experts
        with torch.no_grad():
            hidden = hidden.detach().reshape(-1, experts.inputs)
            if experts.called != "stacked":
                some = slice(COMPARED_TOKENS)
                hidden, routing = hidden[some], tuple(part.detach()[some] for part in routing)
            ours = self._outputs(hidden, *routing, hooked=False)
            alone = hidden[None] if experts.called == "whole" else hidden
            theirs = _own_forward(experts.module)(alone, *routing).reshape(ours.shape)
            gap, size = (float(part.double().norm()) for part in (ours - theirs, theirs))
        # Values that are not finite cannot be compared; the row that has them is unusable.
        # Some add up in float32, whatever the dtype.
        eps = max(torch.finfo(dtype).eps for dtype in (hidden.dtype, torch.float32))
        near = min(ROUNDINGS * eps, MOST_APART)
        if math.isfinite(size) and not gap <= near * size:
            raise self._unlike()
        _compared.add(experts.module)

    def _unlike(self) -> ModelError:
        return ModelError(
            f"{self._path} does not compute what its weights say, so gradpipe cannot tell its "
            "experts apart: remove gate, up and down from `projections`."
        )


def _each(product: Callable[[int, Tensor], Tensor], parts: tuple[Tensor, ...]) -> Tensor:
    """Outputs of all experts, one behind another; ``parts`` are each expert's inputs."""
    return torch.cat([product(place, x) for place, x in enumerate(parts) if len(x)])


def _own_forward(module: Any) -> Callable[..., Tensor]:
    """What a module's class computes: the loop over experts, of which fused ones are copies."""
    forward: Any = type(module).forward
    # The fused ones have no float64.
    own: Callable[..., Tensor] = MethodType(getattr(forward, "__wrapped__", forward), module)
    return own


def _as_loaded(forward: _Forward) -> Callable[..., Any]:
    """A forward with the module's hook of accelerate, which loads offloaded weights for it."""
    module: Any = forward.experts.module
    hook = getattr(module, "_hf_hook", None)
    if hook is None:
        return forward

    def loaded(*inputs: Any, **settings: Any) -> Any:
        inputs, settings = hook.pre_forward(module, *inputs, **settings)
        return hook.post_forward(module, forward(*inputs, **settings))

    return loaded


def _watched(
    take: Callable[[Projection, Tensor, Tensor], None], projection: Projection
) -> Callable[..., Any]:
    module: Any = projection.module
    forward, shape = module.forward, tuple(module.weight.shape)

    def run(*inputs: Any, **settings: Any) -> Any:
        with _Products(shape) as products:
            outputs = forward(*inputs, **settings)
        if len(products.found) != 1:
            raise ModelError(
                f"{projection.path} computes {len(products.found)} products with its weight, not "
                f"one: gradpipe cannot compute its gradient; remove {projection.name} from "
                "`projections`."
            )
        take(projection, *products.found[0])
        return outputs

    return run


class _Products(TorchFunctionMode):
    """While open, collects X and XWᵀ of linear products with weights of one shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape
        self.found: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        # By shape: some routers convert their weight first.
        if func is functional.linear and tuple(args[1].shape) == self._shape:
            self.found.append((args[0], output))
        return output
