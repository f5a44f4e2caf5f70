"""Which key and which proxy a server gets."""

from collections.abc import Callable
from typing import Any

import pytest

from gradpipe.errors import GradpipeError
from gradpipe.generators import proxies
from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from gradpipe.generators.known_hosts import is_this_machine, needs_key
from gradpipe.generators.proxies import find_proxy
from gradpipe.generators.server_access import find_access
from tests.generators.conftest import KEY, ChatServer, Reply, Store, make_items

Configure = Callable[..., GeneratorConfig]
LAN = "http://ollama:11434/v1"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def config(base_url: str | None, **settings: Any) -> GeneratorConfig:
    return GeneratorConfig(kind="openai", model="m", base_url=base_url, **settings)


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("api.openai.com", True),
        ("API.OpenAI.com.", True),
        ("mine.openai.azure.com", True),
        ("openrouter.ai", True),
        ("generativelanguage.googleapis.com", True),
        ("evil-openrouter.ai", False),
        ("openrouter.ai.example", False),
        ("ollama", False),
        ("192.168.0.7", False),
        ("vllm.my-company.example", False),
    ],
)
def test_known_services_need_a_key(host: str, needed: bool) -> None:
    assert needs_key(host) == needed


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("api.localhost", True),
        ("192.168.0.7", False),
        ("host.docker.internal", False),
        ("localhost.example", False),
    ],
)
def test_this_machine_is_recognized(host: str, loopback: bool) -> None:
    assert is_this_machine(host) == loopback


@pytest.mark.parametrize(
    ("address", "settings", "key"),
    [
        (LAN, {}, None),
        (LAN, {"key": "OPENAI_API_KEY"}, KEY),
        (LAN, {"key": "OTHER_KEY"}, "other"),
        ("http://192.168.0.7/v1", {}, None),
        ("https://llm.my-company.example/v1", {}, None),
        ("http://127.0.0.1:8000/v1", {}, KEY),
        ("https://openrouter.ai/api/v1", {}, KEY),
        (None, {}, KEY),
    ],
)
def test_a_key_is_sent_to_known_hosts_and_where_the_study_names_it(
    address: str | None, settings: dict[str, str], key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "other")
    access = find_access(config(address, **settings))
    assert access.key == key
    assert access.withheld == (key is None)
    assert KEY not in repr(access)


def test_the_server_of_the_environment_gets_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", LAN)
    assert find_access(config(None)).key == KEY
    assert find_access(config(LAN)).key is None


def test_a_key_that_is_named_stays_named_in_a_stored_study() -> None:
    named = config(LAN, key="OPENAI_API_KEY").model_dump(exclude_defaults=True)
    assert find_access(GeneratorConfig.model_validate(named)).key == KEY
    unnamed = config(LAN).model_dump()
    assert find_access(GeneratorConfig.model_validate(unnamed)).key is None


@pytest.mark.parametrize("settings", [{}, {"key": "MISSING_KEY"}])
def test_only_known_services_are_not_asked_without_a_key(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    for address in (LAN, "http://127.0.0.1:8000/v1", "https://llm.my-company.example/v1"):
        access = find_access(config(address, **settings))
        assert (access.key, access.withheld) == (None, False)
    with pytest.raises(GradpipeError, match="is not set"):
        find_access(config("https://api.groq.com/openai/v1", **settings))


@pytest.mark.parametrize(
    ("settings", "cure"),
    [({}, "set the generator's `key`"), ({"key": "OTHER_KEY"}, "variable OTHER_KEY")],
)
def test_a_server_that_asks_for_a_key_names_the_way_to_give_it(
    settings: dict[str, str], cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = find_access(config(LAN, **settings))
    assert cure in access.cure_for_key("of this server")


@pytest.mark.parametrize(
    ("variables", "address", "url"),
    [
        ({}, LAN, None),
        ({"HTTP_PROXY": "http://p:1"}, LAN, "http://p:1"),
        ({"http_proxy": "p:1"}, LAN, "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, LAN, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://q:2"}, LAN, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://far.example/v1", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://far.example/v1", "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "socks://p:1"}, "http://localhost:8000/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://[::1]:8000/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "ollama"}, LAN, None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, LAN, None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".lan, 10.0.0.0/8"}, "http://10.1.2.3/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "lan"}, "http://gpu.lan/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://11.1.2.3", "http://p:1"),
    ],
)
def test_a_proxy_is_that_of_the_environment(
    variables: dict[str, str], address: str, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = find_proxy(address)
    assert (None if proxy is None else proxy.url) == url


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("socks://p:1", "socks5h://"),
        ("socks4://p:1", "socks5h://"),
        ("ftp://p:1", "http://"),
        ("socks5://me:swordfish@p:1", "pip install socksio"),
        ("http://p:port", "http://HOST:PORT"),
        ("http://", "http://HOST:PORT"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    url: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(GradpipeError, match="ALL_PROXY") as caught:
        find_access(config(LAN))
    assert cure in str(caught.value)
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:9", "socks://127.0.0.1:9", "http://x.invalid"])
def test_this_machine_is_reached_whatever_the_proxy(
    url: str,
    server: ChatServer,
    configure: Configure,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, url)
    generate(plan_calls(make_items(1), configure()), configure(), store.keep)
    assert len(store) == 1


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:swordfish@127.0.0.1:9")
    settings = configure(base_url=LAN, attempts=1)
    summary = generate(plan_calls(make_items(1), settings), settings, store.keep)
    [reason] = summary.failed.values()
    assert "the proxy http://127.0.0.1:9 of HTTP_PROXY" in reason
    assert "swordfish" not in reason


def test_a_request_goes_through_the_proxy_and_its_refusals_name_it(
    server: ChatServer, configure: Configure, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
    settings = configure(base_url=LAN, attempts=1)
    generate(plan_calls(make_items(1), settings), settings, store.keep)
    assert [request["path"] for request in server.requests] == [f"{LAN}/chat/completions"]
    assert server.requests[0]["headers"]["authorization"] == "Bearer none"
    assert len(store) == 1

    def refuse(reply: Reply) -> None:
        reply.send("<html>who are you?</html>", 407, "text/html")

    server.script = refuse
    with pytest.raises(GradpipeError, match=r"through the proxy .*HTTP_PROXY"):
        generate(plan_calls(make_items(1), settings), settings, store.keep)
