"""Calls in flight: an interruption between two steps of sending loses no answer."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal

from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from tests.generators.conftest import ChatServer, Store, make_items


@pytest.mark.parametrize("sent", [True, False], ids=["after it was sent", "before it is sent"])
@pytest.mark.parametrize("number", [1, 3])
def test_every_answer_that_was_asked_for_is_kept(
    number: int,
    sent: bool,
    server: ChatServer,
    configure: Callable[..., GeneratorConfig],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, calls = BlockingPortal.start_task_soon, 0

    def interrupted(portal: BlockingPortal, function: Any, *arguments: Any) -> Any:
        nonlocal calls
        # The portal's own `call` starts tasks by the same method.
        sends = bool(arguments) and isinstance(arguments[-1], Future)
        calls += sends
        this_one = sends and calls == number
        if this_one and not sent:
            raise KeyboardInterrupt
        future = start(portal, function, *arguments)
        if this_one:
            raise KeyboardInterrupt
        return future

    monkeypatch.setattr(BlockingPortal, "start_task_soon", interrupted)
    config = configure(concurrency=2)
    with pytest.raises(KeyboardInterrupt):
        generate(plan_calls(make_items(6), config), config, store.keep)
    assert sorted(store.keys) == sorted(server.keys)
    assert number - 1 <= len(server.keys) <= number
