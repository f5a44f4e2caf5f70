"""Requests written into batch files, and answers read back from what batch APIs write."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.errors import GradpipeError
from gradpipe.generators import batch_files, batch_requests
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import GenerationSummary, generate
from tests.generators.conftest import ChatServer, Store, make_items

Line = dict[str, Any]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "batches"


@pytest.fixture
def configure(folder: Path) -> Callable[..., GeneratorConfig]:
    """A function from settings to those of a batch generator."""

    def make(**settings: Any) -> GeneratorConfig:
        defaults = {"kind": "batch", "model": "w", "batch_folder": str(folder)}
        return GeneratorConfig.model_validate(defaults | {"styles": ["detailed"]} | settings)

    return make


Configure = Callable[..., GeneratorConfig]


def run(config: GeneratorConfig, store: Store, count: int = 4) -> GenerationSummary:
    """Make the calls that the store has no answer to."""
    calls = plan_calls(make_items(count), config)
    return generate(calls.filter(~pl.col("key").is_in(store.keys)), config, store.keep)


def requests(folder: Path) -> dict[str, list[Line]]:
    """The requests in each file."""
    return {
        file.name: [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted(folder.glob("requests-*"))
    }


def asked(folder: Path) -> list[Line]:
    return [line for lines in requests(folder).values() for line in lines]


def answer(request: Line, text: str | None = None, **changes: Any) -> Line:
    """An answer as OpenAI's output files and vLLM's have it."""
    number = request["body"]["messages"][-1]["content"].partition("number ")[2].partition(":")[0]
    message = {"role": "assistant", "content": text or f"The final answer is {number}"}
    body = {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10},
    }
    response = {"status_code": 200, "request_id": "r", "body": body}
    line = {"id": "b", "custom_id": request["custom_id"], "response": response, "error": None}
    return line | changes


def refused(request: Line, status: int = 400, message: str = "Too long.") -> Line:
    error = {"message": message, "type": "invalid_request_error", "code": None}
    body = {"error": error}
    return answer(request, response={"status_code": status, "request_id": "r", "body": body})


def reply(folder: Path, lines: Iterable[Line], name: str = "output.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_first_run_writes_the_requests_and_says_what_to_do(
    configure: Configure, folder: Path, store: Store
) -> None:
    summary = run(configure(), store)
    [(name, lines)] = requests(folder).items()
    assert (summary.kept, summary.left, summary.failed) == (0, 4, {})
    assert summary.next_step is not None
    for said in (str(folder / name), "4 requests", "vllm run-batch", "--model w"):
        assert said in summary.next_step
    calls = plan_calls(make_items(4), configure())
    assert [line["custom_id"] for line in lines] == calls["key"].to_list()
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert lines[0]["body"] == {
        "model": "w",
        "messages": json.loads(calls["messages"][0]),
        "temperature": 0.0,
        "max_completion_tokens": 2048,
    }


def test_all_settings_are_in_a_requests_body(
    configure: Configure, folder: Path, store: Store
) -> None:
    settings = {"temperature": 1, "seed": 3, "samples": 2, "extra_body": {"top_p": 0.5}}
    run(configure(**settings, limit_field="max_tokens", max_tokens=7), store, count=1)
    first, second = (line["body"] for line in asked(folder))
    assert (first.pop("seed"), second.pop("seed")) == (3, 4)
    assert first == second
    assert first.items() >= {"top_p": 0.5, "max_tokens": 7, "temperature": 1.0}.items()


def test_a_repeated_run_writes_nothing_new(
    configure: Configure, folder: Path, store: Store
) -> None:
    first = run(configure(), store)
    before = requests(folder)
    again = run(configure(), store)
    assert again.next_step == first.next_step
    assert requests(folder) == before
    assert again.progress.requests == 0


def test_answers_are_stored_as_paid_calls(configure: Configure, folder: Path, store: Store) -> None:
    run(configure(), store)
    reply(folder, reversed([answer(line) for line in asked(folder)]))
    summary = run(configure(), store)
    assert (summary.kept, summary.left, summary.next_step) == (4, 0, None)
    assert (summary.progress.prompt_tokens, summary.progress.response_tokens) == (200, 40)
    by_key = {row["key"]: row for row in store}
    for number, line in enumerate(asked(folder)):
        assert by_key[line["custom_id"]]["text"] == f"The final answer is {number}"
        assert by_key[line["custom_id"]]["finish_reason"] == "stop"
    assert not summary.notes


def test_only_what_is_missing_is_asked_again_and_errors_are_named(
    configure: Configure, folder: Path, store: Store
) -> None:
    run(configure(), store)
    first, second, third, fourth = asked(folder)
    expired = answer(third, response=None, error={"code": "batch_expired", "message": "Expired."})
    empty = answer(fourth, response=answer(fourth, " ")["response"])
    reply(folder, [answer(first), refused(second)])
    reply(folder, [expired, empty], "errors.jsonl")
    summary = run(configure(), store)
    assert summary.kept == 1
    assert list(summary.failed) == [line["custom_id"] for line in (second, third, fourth)]
    reasons = list(summary.failed.values())
    assert "400: Too long" in reasons[0]
    assert "Expired" in reasons[1]
    assert "empty" in reasons[2]
    earlier, later = sorted(requests(folder).values(), key=len, reverse=True)
    assert [line["custom_id"] for line in later] == list(summary.failed)
    assert summary.next_step is not None
    assert "3 requests" in summary.next_step
    # Until the second file is answered, its requests are waited for.
    waiting = run(configure(), store)
    assert (waiting.failed, waiting.left) == ({}, 3)
    assert len(requests(folder)) == 2
    reply(folder, [answer(line) for line in later], "second.jsonl")
    assert run(configure(), store).kept == 3
    assert sorted(store.keys) == sorted(line["custom_id"] for line in earlier)


def test_requests_that_are_still_running_are_not_asked_twice(
    configure: Configure, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_requests, "MOST_REQUESTS", 2)
    run(configure(), store)
    assert [len(lines) for lines in requests(folder).values()] == [2, 2]
    one = next(iter(requests(folder).values()))
    reply(folder, [answer(one[0]), refused(one[1])])
    summary = run(configure(), store)
    assert list(summary.failed) == [one[1]["custom_id"]]
    ids = [line["custom_id"] for line in asked(folder)]
    assert {key: ids.count(key) for key in ids} == {
        key: 1 + (key == one[1]["custom_id"]) for key in ids
    }


def test_a_deleted_request_file_is_written_again(
    configure: Configure, folder: Path, store: Store
) -> None:
    run(configure(), store)
    before = requests(folder)
    for file in folder.iterdir():
        file.unlink()
    run(configure(), store)
    assert requests(folder) == before


def test_files_stay_within_the_limits(
    configure: Configure, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = plan_calls(make_items(5), configure())
    sizes = [
        len(batch_requests.request_line(call, configure()).encode()) for call in calls.to_dicts()
    ]
    monkeypatch.setattr(batch_requests, "MOST_BYTES", sizes[0] + sizes[1])
    summary = run(configure(), store, 5)
    assert sorted(map(len, requests(folder).values())) == [1, 2, 2]
    assert all(
        file.stat().st_size <= sizes[0] + sizes[1] for file in folder.glob("requests-*.jsonl")
    )
    assert summary.next_step is not None
    assert "2 more files" in summary.next_step


def test_a_budget_limits_the_requests_of_one_run(
    configure: Configure, folder: Path, store: Store
) -> None:
    summary = run(configure(budget={"requests": 3}), store)
    assert len(asked(folder)) == summary.progress.requests == 3
    assert summary.stopped is not None
    assert "budget" in summary.stopped


def test_what_cannot_be_read_is_said_and_the_rest_is_used(
    configure: Configure, folder: Path, store: Store
) -> None:
    run(configure(), store)
    lines = [answer(line) for line in asked(folder)]
    text = "\n".join(map(json.dumps, lines))
    (folder / "cut.jsonl").write_text(text[:-20])
    (folder / "page.jsonl").write_text("<html>\nNot found\n</html>\n")
    (folder / "latin.jsonl").write_bytes(b'{"custom_id": "\xe9", "response": null}\n[1]\n')
    reply(folder, [lines[0], lines[0] | {"custom_id": "0" * 20}], "mixed.jsonl")
    summary = run(configure(), store)
    assert sorted(store.keys) == sorted(line["custom_id"] for line in lines[:3])
    assert summary.left == 1
    notes = "; ".join(summary.notes)
    for said in (
        "cut.jsonl is cut off in line 4",
        "page.jsonl has no request or answer of a batch in line 1 and 2 more",
        "latin.jsonl has no request or answer of a batch in line 1 and 1 more",
        "mixed.jsonl has 1 answers to requests that no file of this folder holds",
        "1 requests are answered twice",
    ):
        assert said in notes
    assert notes in summary.sentence()


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 200, "body": {"choices": [{"message": {"content": None}}]}},
        {"status_code": 200, "body": {"choices": []}},
        {"status_code": "200", "body": []},
        {"status_code": 500, "body": {"error": "\ud800"}},
        [1],
        None,
    ],
)
def test_a_strange_answer_is_a_failure_of_its_row(
    configure: Configure, folder: Path, store: Store, response: Any
) -> None:
    run(configure(), store, 2)
    first, second = asked(folder)
    reply(folder, [answer(first, response=response), answer(second)])
    summary = run(configure(), store, 2)
    assert (summary.kept, list(summary.failed)) == (1, [first["custom_id"]])
    summary.sentence().encode()


def test_a_line_longer_than_any_answer_is_reported(
    configure: Configure, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(configure(), store, 1)
    reply(folder, [answer(asked(folder)[0], "x" * 90_000)])
    monkeypatch.setattr(batch_files, "_LONGEST_LINE", 60_000)
    summary = run(configure(), store, 1)
    assert (summary.kept, summary.left) == (0, 1)
    assert "output.jsonl" in summary.notes[0]


def test_answers_to_another_benchmarks_requests_are_no_fault(
    configure: Configure, folder: Path, store: Store
) -> None:
    run(configure(), store, 2)
    other = configure(prompts=None, system="Other.")
    run(other, store, 2)
    assert len(requests(folder)) == 2
    reply(folder, [answer(line) for line in asked(folder)])
    summary = run(configure(), store, 2)
    assert (summary.kept, summary.notes) == (2, ())
    assert run(other, store, 2).kept == 2


def test_a_word_order_mark_and_windows_lines_are_read(
    configure: Configure, folder: Path, store: Store
) -> None:
    run(configure(), store)
    text = "\r\n".join(json.dumps(answer(line)) for line in asked(folder))
    (folder / "output.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    assert run(configure(), store).kept == 4


def test_thinking_is_read_as_a_servers(configure: Configure, folder: Path, store: Store) -> None:
    run(configure(), store, 1)
    reply(folder, [answer(asked(folder)[0], "<think>\nHm.\n</think>\n\nThe answer is 0.")])
    run(configure(), store, 1)
    assert (store[0]["reasoning"], store[0]["text"]) == ("Hm.", "The answer is 0.")


def test_with_a_servers_address_its_answers_are_shared_with_the_live_generator(
    configure: Configure, folder: Path, store: Store, server: ChatServer
) -> None:
    live = {"kind": "openai", "model": "w", "base_url": server.url, "styles": ["detailed"]}
    by_server = GeneratorConfig.model_validate(live)
    by_files = configure(base_url=server.url)
    assert plan_calls(make_items(2), by_files).equals(plan_calls(make_items(2), by_server))
    assert set(plan_calls(make_items(2), configure())["key"]).isdisjoint(
        plan_calls(make_items(2), by_server)["key"]
    )
    run(by_files, store, 2)
    assert "max_tokens" in asked(folder)[0]["body"]


def test_a_generator_without_a_folder_is_refused(store: Store) -> None:
    config = GeneratorConfig(kind="batch", model="w", styles=("detailed",))
    with pytest.raises(GradpipeError, match="batch_folder"):
        run(config, store)


def test_a_folder_that_cannot_be_written_is_named(
    configure: Configure, folder: Path, store: Store
) -> None:
    folder.write_text("a file")
    with pytest.raises(GradpipeError, match=str(folder)):
        run(configure(), store)
