"""Small models and tokenizers, as the tests of gradients have them."""

from tests.gradients.conftest import make_model, make_tokenizer, one_thread, tiny_folder

__all__ = ["make_model", "make_tokenizer", "one_thread", "tiny_folder"]
