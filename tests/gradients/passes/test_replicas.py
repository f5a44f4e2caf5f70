"""Replicas of a model share its weights and nothing else."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest

from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.gradients.passes.replicas import replicate
from gradpipe.models.projections import find_projections

MakeModel = Callable[..., Any]


@pytest.mark.parametrize("kind", ["llama", "llama tied", "gpt2", "gpt_neox"])
def test_a_replica_has_the_models_own_weights_in_modules_of_its_own(
    kind: str, make_model: MakeModel
) -> None:
    model = make_model(kind)
    projections = find_projections(model)
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    first, second = replicate(model, projections, 2)
    for replica in (first, second):
        theirs = dict(replica.model.named_parameters()) | dict(replica.model.named_buffers())
        assert own.keys() == theirs.keys()
        assert all(own[name] is theirs[name] for name in own)
        assert set(replica.model.modules()).isdisjoint(model.modules())
        modules = dict(replica.model.named_modules())
        places = [(p.layer, p.name, p.path) for p in replica.projections]
        assert places == [(p.layer, p.name, p.path) for p in projections]
        assert all(p.module is modules[p.path] for p in replica.projections)
    assert set(first.model.modules()).isdisjoint(second.model.modules())


def test_a_model_that_is_more_than_its_weights_has_no_replicas(make_model: MakeModel) -> None:
    model = make_model("llama")
    projections = find_projections(model)
    assert len(replicate(model, projections, 3)) == 3
    hook = model.lm_head.register_forward_hook(lambda *_: None)
    assert replicate(model, projections, 3) == []
    hook.remove()
    with replaced_forwards({model.lm_head: lambda x: x}):
        assert replicate(model, projections, 3) == []
    model.lock = Lock()
    assert replicate(model, projections, 3) == []
    del model.lock
    assert len(replicate(model, projections, 3)) == 3


def test_a_mixture_has_no_replicas(make_model: MakeModel) -> None:
    model = make_model("mixtral")
    assert replicate(model, find_projections(model, ("q", "down")), 2) == []
    assert len(replicate(model, find_projections(model), 2)) == 2
