"""The gateway: one HTTP request, streamed, under a deadline, booked in the ledger."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx2
import structlog

from sessions_app import context
from sessions_app.errors import SmnbError
from stories.llm.attempt import Exchange
from stories.llm.errors import Refusal, broken, refused, unreachable
from stories.llm.types import Answer, Ask, Credentials, part
from stories.usage.types import Close, Ledger

if TYPE_CHECKING:
    import anthropic

log = structlog.get_logger(__name__)

# Faults in the middle of a stream escape the SDK's own hierarchy; ValueError is a garbled line.
_NETWORK = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError)
LISTEN_EVERY = 0.2
DEADLINE = 65.0  # seconds of one answer
_UNREACHED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.InvalidURL,
)


@cache
def anthropic_sdk() -> ModuleType:
    """The SDK, imported at the first question (2 s), with loggers that never show a prompt."""
    import anthropic

    for name in ("anthropic", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return anthropic


class Gateway:
    """Asks models with one set of credentials.

    ``deadline`` is the longest answer in seconds; setting ``ended`` hangs up at once.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        deadline: float = DEADLINE,
        ended: threading.Event | None = None,
    ) -> None:
        self._credentials = credentials
        self._deadline = deadline
        self._ended = ended or threading.Event()

    def stream(self, ask: Ask, ledger: Ledger, on_text: Callable[[str], None]) -> Answer:
        """Ask once; ``on_text`` gets the whole text so far at every event but a ping.

        Whatever ``on_text`` raises ends the HTTP stream at once and comes out unchanged. Raises
        Retry, WaitUntil, NeedsHuman, Refused (also PromptTooLong) and EmptyAnswer. A row is
        reserved before the request and closed exactly once, whatever happens.
        """
        self._credentials.check()
        attempt = ledger.reserve(
            model=ask.model,
            operation=ask.operation,
            max_tokens=ask.max_tokens,
            input_upper=ask.input_upper(),
        )
        exchange = Exchange(ask, attempt)
        with context.span("ask", attempt=attempt.id):
            log.info("model_asked", model=ask.model, purpose=ask.operation)
            try:
                return self._exchange(ask, exchange, on_text)
            except BaseException as error:
                exchange.error = error.code if isinstance(error, SmnbError) else "interrupted"
                raise
            finally:
                closing_ = exchange.closing()
                attempt.close(closing_)
                _log_answer(closing_)

    def _exchange(self, ask: Ask, exchange: Exchange, on_text: Callable[[str], None]) -> Answer:
        with closing(self._events(ask, exchange)) as events:
            for event in events:
                exchange.take(event)
                on_text(exchange.text)
        return exchange.answer()

    def _events(self, ask: Ask, exchange: Exchange) -> Generator[dict[str, Any]]:
        """The raw events of one request; every fault of SDK and network comes out typed."""
        sdk = anthropic_sdk()
        try:
            with self._client(sdk) as client:
                exchange.sending()
                with client.messages.create(**_request(ask)) as stream:
                    exchange.request_id = stream.response.headers.get("request-id", "")
                    with cut_after(self._deadline, self._ended, stream.response):
                        for event in stream:
                            yield _plain(event)
        except (sdk.AnthropicError, *_NETWORK) as error:
            failure = _failure(sdk, error, ask, exchange)
        else:
            return
        raise failure

    def _client(self, sdk: ModuleType) -> anthropic.Anthropic:
        read = min(30.0, self._deadline)
        client: anthropic.Anthropic = sdk.Anthropic(
            api_key=self._credentials.api_key,
            base_url=self._credentials.base_url,
            timeout=httpx2.Timeout(connect=5.0, read=read, write=10.0, pool=5.0),
            max_retries=0,
            open_telemetry=False,
        )
        return client


def _log_answer(close: Close) -> None:
    """What the provider calls the request stands in the line, so that it can be asked about it."""
    log.info(
        "model_answered", model=close.model, state=close.state, error=close.error or "",
        provider_request=close.request_id, ms=close.duration_ms, input_tokens=close.counts.input,
        output_tokens=close.counts.output,
    )  # fmt: skip


def _request(ask: Ask) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": ask.max_tokens,
        "system": _system(ask),
        "messages": [
            *({"role": turn.role, "content": turn.text} for turn in ask.history),
            {"role": "user", "content": ask.prompt},
        ],
        "stream": True,
    }
    if ask.schema is not None:
        request["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
    return request


def _system(ask: Ask) -> str | list[dict[str, Any]]:
    if not ask.cached:
        return ask.system
    return [{"type": "text", "text": ask.system, "cache_control": {"type": "ephemeral"}}]


def _plain(event: anthropic.types.RawMessageStreamEvent) -> dict[str, Any]:
    """The event as sent: the SDK's classes know neither ``iterations`` nor all kinds of block."""
    if not hasattr(event, "to_dict"):
        raise ValueError("not an event")
    return event.to_dict(warnings=False)


@contextmanager
def cut_after(seconds: float, ended: threading.Event, response: httpx2.Response) -> Iterator[None]:
    """Shut the connection down when time is up or nobody listens any more.

    The SDK swallows pings, and they keep a read timeout from ever ending.
    """
    finished = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + seconds
        while not finished.wait(LISTEN_EVERY):
            if ended.is_set() or time.monotonic() >= deadline:
                _shut_down(response)
                return

    threading.Thread(target=watch, name="gateway-watch", daemon=True).start()
    try:
        yield
    finally:
        finished.set()


def _shut_down(response: httpx2.Response) -> None:
    network = response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network is not None else None
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            # Past TLS, whose own farewell is not for another thread to say.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _failure(
    sdk: ModuleType, error: Exception, ask: Ask, exchange: Exchange
) -> SmnbError | Exception:
    """What to raise instead of ``error``, after telling the exchange what was served."""
    if isinstance(error, sdk.APIStatusError):
        if error.status_code >= 300:
            exchange.nothing_served()
        exchange.request_id = exchange.request_id or error.request_id or _named_request(error)
        return refused(refusal_of(error, ask.model))
    cause = error.__cause__ if isinstance(error, sdk.APIConnectionError) else error
    if isinstance(cause, _UNREACHED):
        exchange.nothing_served()
        return unreachable()
    # The SDK calls whatever interrupts it, a time limit too, a connection error.
    if isinstance(cause, Exception) and not isinstance(cause, (sdk.AnthropicError, *_NETWORK)):
        return cause
    return broken()


def _named_request(error: anthropic.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("request_id") or "")


def refusal_of(error: anthropic.APIStatusError, model: str) -> Refusal:
    """What an error answer says; ``model`` is the one that was asked for."""
    details = part(error.body, "error") if isinstance(error.body, dict) else {}
    return Refusal(
        status=error.status_code,
        kind=str(details.get("type") or ""),
        message=str(details.get("message") or ""),
        error_code=str(part(details, "details").get("error_code") or ""),
        retry_after=error.response.headers.get("retry-after", ""),
        model=model,
    )
