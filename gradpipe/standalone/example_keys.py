"""The keys under which the rows of a user's examples are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gradpipe.conversations.examples import Example, hash_examples
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import EXTRACTOR_VERSION, with_keys
from gradpipe.system.hashing import content_hash


@dataclass(frozen=True, kw_only=True)
class ExampleKeys:
    """Makes the keys of rows: ``identity`` is the model's part of them."""

    protocol: Protocol
    identity: str

    @property
    def of_run(self) -> str:
        """A hash of all that rows depend on, apart from their examples."""
        return content_hash(self.protocol.key(), self.identity, EXTRACTOR_VERSION)

    def of(self, examples: Sequence[Example]) -> list[str]:
        """The key of each example, as ``with_keys`` makes it."""
        ids = [hash_examples([example]) for example in examples]
        table = pl.DataFrame({"example_id": ids}, {"example_id": pl.String})
        return with_keys(table, self.protocol, self.identity)["key"].to_list()
