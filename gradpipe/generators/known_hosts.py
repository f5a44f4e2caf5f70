"""Hosts that are known: this machine, and the services that always need a key."""

from __future__ import annotations

from ipaddress import ip_address

#: Services that answer nobody without a key, and the parent domains of such services.
PAID_HOSTS = (
    *("api.openai.com", "openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"),
    *("openrouter.ai", "api.anthropic.com", "generativelanguage.googleapis.com"),
    *("aiplatform.googleapis.com", "api.mistral.ai", "api.deepseek.com", "api.groq.com"),
    *("api.together.xyz", "api.together.ai", "api.fireworks.ai", "api.deepinfra.com", "api.x.ai"),
    *("api.perplexity.ai", "api.cohere.com", "api.cohere.ai", "api.cerebras.ai"),
    *("api.sambanova.ai", "integrate.api.nvidia.com", "router.huggingface.co"),
    *("api.novita.ai", "api.hyperbolic.xyz", "api.studio.nebius.com", "api.moonshot.ai"),
    *("api.moonshot.cn", "dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "api.z.ai"),
    *("open.bigmodel.cn", "api.siliconflow.cn", "api.siliconflow.com", "api.minimax.io"),
    *("api.ai21.com", "api.inference.net", "models.github.ai", "ark.cn-beijing.volces.com"),
)


def needs_key(host: str) -> bool:
    """Return whether a host is one of PAID_HOSTS, or within its domain."""
    name = host.lower().rstrip(".")
    return any(name == paid or name.endswith(f".{paid}") for paid in PAID_HOSTS)


def is_this_machine(host: str) -> bool:
    """Return whether a host is this machine, by its name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
