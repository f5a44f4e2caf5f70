"""What follows from a server's error: another attempt, a wait, a named row, or the run's end."""

from __future__ import annotations

from collections.abc import Mapping

from gradpipe.generators.attempts import FailedAttempt
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.error_details import read_error_detail
from gradpipe.generators.error_kinds import ErrorKind, kind_of_error
from gradpipe.generators.secrets import redact
from gradpipe.generators.server_access import ServerAccess

_REASON_LENGTH = 300
#: Statuses of gateways that gave up while the server behind them may still have been writing.
_GATEWAY_TIMEOUTS = (504, 522, 524)
_TEMPERATURE_CURE = "set the generator's `temperature: 1`, the only one that this model supports"


class ServerErrors:
    """Turns the errors of one server into failed attempts; repeats no key and no password."""

    def __init__(self, config: GeneratorConfig, access: ServerAccess) -> None:
        self._config = config
        self._access = access

    def failure(
        self,
        status: int,
        body: object,
        headers: Mapping[str, str] | None = None,
        *,
        billed: bool = False,
    ) -> FailedAttempt:
        """Return the failure that an error means; ``status`` is 200 for one in a good response.

        ``body`` is parsed JSON or a text; ``billed`` if the server has written something.
        """
        detail = read_error_detail(body, headers)
        kind = kind_of_error(status, detail)
        page = isinstance(body, str) and body.lstrip().startswith("<")
        what = f"the server answered {status}" if status != 200 else "the server answered an error"
        if status == 200 and detail.status:
            what += f" {detail.status}"
        through = f" through {self._access.proxy}" if self._access.proxy and page else ""
        reason = self.reason(
            what + (" with a page in HTML" if page else "") + through, detail.message
        )
        if kind is ErrorKind.CONTEXT:
            reason = f"the prompt and its max_tokens exceed the model's context ({reason})"
        return FailedAttempt(
            reason,
            transient=kind in (ErrorKind.TRANSIENT, ErrorKind.LOADING),
            cure=self._cure(kind),
            retry_after=detail.retry_after,
            billed=billed or status in _GATEWAY_TIMEOUTS,
            loading=kind is ErrorKind.LOADING,
            refused=self._refused(kind),
            missing=kind in (ErrorKind.PATH, ErrorKind.MODEL) or status == 501,
        )

    def unexpected(self, what: str) -> FailedAttempt:
        """Return the failure of a response that is neither an answer nor an error."""
        return FailedAttempt(what, transient=True, billed=True)

    def redirected(self, url: str) -> FailedAttempt:
        """Return the failure of a redirect that drops the request's body; ``url`` is its target."""
        target = self.redacted(url.partition("?")[0])
        cure = "set the generator's `base_url` to the address that the server redirects to"
        return FailedAttempt(f"the server redirects to {target}", cure=cure)

    def reason(self, what: str, detail: str = "") -> str:
        """Return a failure's reason, with the start of the server's own words."""
        # Redacted before it is cut: part of a key would not be recognized.
        words = " ".join(self.redacted(detail).split())[:_REASON_LENGTH].rstrip(".")
        return f"{what}: {words}" if words else what

    def redacted(self, text: str) -> str:
        """Return a text without the key, the proxy's password and what looks like a key."""
        return redact(text, self._access.secrets)

    def still_loading(self, failure: FailedAttempt) -> FailedAttempt:
        """Return the failure of a server that loads its model for longer than `timeout`."""
        cure = "wait until it is loaded and run again, or raise the generator's `timeout`"
        return FailedAttempt(f"{failure.reason}, for {self._config.timeout:g} s", cure=cure)

    def _cure(self, kind: ErrorKind) -> str | None:
        """Return what to do about an error that every call would get; None for others."""
        model, address = repr(self._config.model), self._access.address
        proxy = self._access.proxy
        cures = {
            ErrorKind.KEY: self._access.cure_for_key("of this server"),
            ErrorKind.QUOTA: "add credit to the account",
            ErrorKind.FORBIDDEN: self._access.cure_for_key("that may use this model"),
            ErrorKind.MODEL: f"check the model {model} and the address {address}",
            ErrorKind.PATH: (
                f"check the address {address}, which usually ends in /v1, and the model {model}"
            ),
            ErrorKind.PROXY: (
                f"check the user and password in {proxy.variable}"
                if proxy
                else "check the user and password of the proxy"
            ),
            ErrorKind.TEMPERATURE: _TEMPERATURE_CURE if self._config.temperature != 1 else None,
        }
        return cures.get(kind)

    def _refused(self, kind: ErrorKind) -> str | None:
        if kind is ErrorKind.LIMIT_FIELD:
            return "max_tokens"
        # A model that supports only 1 may refuse even that, if it is written.
        only_default = kind is ErrorKind.TEMPERATURE and self._config.temperature == 1
        return "temperature" if only_default else None
