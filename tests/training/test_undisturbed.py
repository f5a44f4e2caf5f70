"""What surrounds the passes of a probe: every setting of the training is put back."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from gradpipe.training.undisturbed import kept_random_states, undisturbed
from gradpipe.training.weights_hash import weights_hash
from tests.training.runs import with_dropout


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_random_states_are_kept_even_after_an_error() -> None:
    with kept_random_states():
        expected = draw()

    @kept_random_states()
    def fail() -> None:
        draw()
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert draw() == expected


def test_passes_run_as_if_the_model_were_loaded_alone(small_model: Path) -> None:
    model = with_dropout(small_model)
    own = model.forward
    model.forward = replaced = lambda *_, **__: pytest.fail("the replaced forward ran")
    ids = torch.tensor([[5, 6, 7]])
    compiled = torch.compile(lambda x: x + 1, backend=lambda *_: pytest.fail("compiled"))
    with torch.autocast("cpu", torch.bfloat16):
        with undisturbed(model):
            assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 2.0))
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
            logits = model(input_ids=ids).logits
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert model.forward is replaced
    assert torch.equal(logits, own(input_ids=ids).logits)


def test_the_hash_of_weights_changes_with_any_of_them(small_model: Path) -> None:
    model = with_dropout(small_model)
    hashes = [weights_hash(model), weights_hash(with_dropout(small_model))]
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nextafter(model.model.norm.weight[3], torch.tensor(2.0))
    hashes += [weights_hash(model), weights_hash(model.to(torch.bfloat16))]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
