"""Generate responses with a model. Start with ``plan_calls`` and ``generate``."""
