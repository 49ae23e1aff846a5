"""The gateway to a model: one streamed HTTP request with a deadline, booked in the ledger."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

import structlog

from sessions_app import context
from sessions_app.errors import SmnbError
from stories.llm.attempt import Exchange
from stories.llm.errors import Refusal, broken, refused, unreachable
from stories.llm.types import Answer, Ask, Credentials, JsonObject, part
from stories.usage import pricing
from stories.usage.types import Ledger

if TYPE_CHECKING:
    import anthropic
    import httpx2

log = structlog.get_logger(__name__)

LISTEN_EVERY = 0.2
DEADLINE = 65.0  # seconds of one answer


@cache
def anthropic_sdk() -> ModuleType:
    """Returns the SDK, whose loggers never show a prompt; it is imported here, as that takes 2 s."""
    import anthropic

    for name in ("anthropic", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return anthropic


@cache
def _http_client() -> httpx2.Client:
    """Returns the HTTP client of this process; a new one for each call would read all certificates."""
    import httpx2

    # Connections are not reused: a fault then belongs to one call, and a fork shares no connection.
    limits = httpx2.Limits(max_keepalive_connections=0)
    client: httpx2.Client = anthropic_sdk().DefaultHttpxClient(limits=limits)
    return client


def sdk_client(credentials: Credentials, *, connect: float, read: float) -> anthropic.Anthropic:
    """Returns the SDK's client for these credentials; the times are in seconds.

    It must not be closed, because all of them share one HTTP client.
    """
    import httpx2

    client: anthropic.Anthropic = anthropic_sdk().Anthropic(
        api_key=credentials.api_key,
        base_url=credentials.base_url,
        timeout=httpx2.Timeout(connect=connect, read=read, write=min(read, 10.0), pool=5.0),
        # A second attempt would be billed and belongs to a row of its own; a person who waits for
        # the test of a key would wait twice as long.
        max_retries=0,
        open_telemetry=False,
        http_client=_http_client(),
    )
    return client


@cache
def preload() -> None:
    """Loads what the first call would otherwise wait for: the SDK, certificates and prices."""
    # The SDK imports its types with the first use of ``messages``, and builds them with the first
    # event of each type.
    sdk_client(Credentials("preload"), connect=1, read=1).messages  # noqa: B018
    union, *_ = get_args(anthropic_sdk().types.RawMessageStreamEvent)
    for event_type in get_args(union):
        event_type.model_rebuild()
    pricing.offers()


@cache
def _network_errors() -> tuple[type[Exception], ...]:
    """Returns the faults that the SDK lets through during a stream, though they are not its own."""
    import httpx2

    # ValueError is a garbled line.
    return httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError


class Gateway:
    """Asks models with one set of credentials.

    ``deadline`` is the longest answer in seconds; setting ``ended`` closes the connection at once.
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
        """Asks once and returns the answer.

        ``on_text`` is called with the whole text so far at every event except pings; what it raises
        ends the stream at once and is passed on unchanged. Raises Retry, WaitUntil, NeedsHuman,
        Refused (also PromptTooLong) and EmptyAnswer. A row is reserved before the request and
        closed exactly once, also after an error.
        """
        self._credentials.check()
        attempt = ledger.reserve(
            model=ask.model,
            operation=ask.operation,
            max_tokens=ask.max_tokens,
            input_upper=ask.input_upper(),
            cached=ask.cached,
        )
        exchange = Exchange(ask, attempt)
        with context.span("ask", attempt=attempt.id):
            log.info("model_asked", model=ask.model, purpose=ask.operation)
            try:
                # closing() ends the generator, and with it the connection, when on_text raises.
                with closing(self._events(ask, exchange)) as events:
                    for event in events:
                        exchange.take(event)
                        on_text(exchange.text)
                return exchange.answer()
            except BaseException as error:
                # BaseException, because a task's time limit and a shutdown have to close the row
                # too.
                exchange.error = error.code if isinstance(error, SmnbError) else "interrupted"
                raise
            finally:
                close = exchange.closing()
                attempt.close(close)
                log.info(
                    "model_answered",
                    model=close.model,
                    state=close.state,
                    error=close.error or "",
                    # The provider's own id, for questions to its support.
                    provider_request=close.request_id,
                    ms=close.duration_ms,
                    input_tokens=close.counts.input,
                    output_tokens=close.counts.output,
                )

    def _events(self, ask: Ask, exchange: Exchange) -> Generator[JsonObject]:
        """Yields the raw events of one request; raises the faults of SDK and network as our own."""
        sdk = anthropic_sdk()
        try:
            client = sdk_client(self._credentials, connect=5.0, read=min(30.0, self._deadline))
            exchange.sending()
            with client.messages.create(**_request(ask)) as stream:
                exchange.request_id = stream.response.headers.get("request-id", "")
                with cut_after(self._deadline, self._ended, stream.response):
                    for event in stream:
                        # As sent, because the SDK's classes lack ``iterations`` and some kinds
                        # of block. A garbled line is no event at all.
                        if not hasattr(event, "to_dict"):
                            raise ValueError("not an event")
                        yield event.to_dict(warnings=False)
        except (sdk.AnthropicError, *_network_errors()) as error:
            failure = _failure(sdk, error, ask, exchange)
        else:
            return
        # Raised here, because the SDK's error holds the request with the key and the prompt.
        raise failure


def _request(ask: Ask) -> dict[str, Any]:
    """Returns the arguments of the SDK's ``messages.create``."""
    system: object = ask.system
    if ask.cached:
        # The cache ends at this mark: all of the system text before it is stored.
        cached = {"type": "text", "text": ask.system, "cache_control": {"type": "ephemeral"}}
        system = [cached]
    request = {
        "model": ask.model,
        "max_tokens": ask.max_tokens,
        "system": system,
        "messages": [
            *({"role": turn.role, "content": turn.text} for turn in ask.history),
            {"role": "user", "content": ask.prompt},
        ],
        "stream": True,
    }
    if ask.schema is not None:
        request["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
    return request


@contextmanager
def cut_after(seconds: float, ended: threading.Event, response: httpx2.Response) -> Iterator[None]:
    """Closes the connection after ``seconds``, or as soon as ``ended`` is set.

    A read timeout is not enough: pings reset it, and the SDK does not pass them on.
    """
    finished = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + seconds
        while not finished.wait(LISTEN_EVERY):
            if ended.is_set() or time.monotonic() >= deadline:
                network = response.extensions.get("network_stream")
                connection = network.get_extra_info("socket") if network is not None else None
                if isinstance(connection, socket.socket):
                    with suppress(OSError):
                        # The plain socket's method: closing TLS is not safe from another thread.
                        socket.socket.shutdown(connection, socket.SHUT_RDWR)
                return

    # A thread, because the reading one is blocked in the socket and cannot look at a clock.
    threading.Thread(target=watch, name="gateway-watch", daemon=True).start()
    try:
        yield
    finally:
        finished.set()


def _failure(
    sdk: ModuleType, error: Exception, ask: Ask, exchange: Exchange
) -> SmnbError | Exception:
    """Returns what to raise instead of ``error``; notes in the exchange when nothing was served."""
    if isinstance(error, sdk.APIStatusError):
        if error.status_code >= 300:
            # An answer with an error status is not billed.
            exchange.nothing_served()
        body = error.body if isinstance(error.body, dict) else {}
        named = error.request_id or str(body.get("request_id") or "")
        exchange.request_id = exchange.request_id or named
        return refused(refusal_of(error, ask.model))
    import httpx2

    unreached = (
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.ProxyError,
        httpx2.UnsupportedProtocol,
        httpx2.LocalProtocolError,
        httpx2.InvalidURL,
    )
    cause = error.__cause__ if isinstance(error, sdk.APIConnectionError) else error
    # The request cannot have arrived, so no tokens were served.
    if isinstance(cause, unreached):
        exchange.nothing_served()
        return unreachable()
    # The SDK wraps any interruption, such as a task's time limit, in a connection error.
    if isinstance(cause, Exception) and not isinstance(
        cause, (sdk.AnthropicError, *_network_errors())
    ):
        return cause
    return broken()


def refusal_of(error: anthropic.APIStatusError, model: str) -> Refusal:
    """Returns the content of an error answer; ``model`` is the one that was asked."""
    details = part(error.body, "error") if isinstance(error.body, dict) else {}
    return Refusal(
        status=error.status_code,
        kind=str(details.get("type") or ""),
        message=str(details.get("message") or ""),
        error_code=str(part(details, "details").get("error_code") or ""),
        retry_after=error.response.headers.get("retry-after", ""),
        model=model,
    )
