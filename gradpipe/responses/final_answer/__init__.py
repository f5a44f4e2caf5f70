"""Find the final answer of a response and compare it with the gold answer."""
