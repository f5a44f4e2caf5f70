"""Small models, as the tests of gradients have them."""

from tests.gradients.conftest import make_model

__all__ = ["make_model"]
