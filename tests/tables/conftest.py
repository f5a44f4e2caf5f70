"""Files and a private cache, as the tests of benchmarks have them."""

from tests.benchmarks.conftest import cache, write

__all__ = ["cache", "write"]
