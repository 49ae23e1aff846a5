"""The gateway over the real SDK against a stand-in: one true row per request in every case."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import count, pairwise
from pathlib import Path

import pytest

from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from stories.llm import Answer, Ask, Credentials, EmptyAnswer, Gateway, PromptTooLong, Refused
from stories.usage.types import Counts
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.ledger import MemoryAttempt, MemoryLedger

ROOT = Path(__file__).resolve().parents[3]
KEY = "sk-canary-key-4711"
PROMPT = "canary-prompt-0815: the mill at Harrow Ford turns again after forty years of silence."
ASK = Ask(model="claude-sonnet-4-6", system="Be brief.", prompt=PROMPT, max_tokens=400)
HALFWAY = ("clean_eof", "reset", "garbled", "overloaded_inside", "stall", "pings")


@pytest.fixture
def server() -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as running:
        yield running


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def ask_it(
    server: AnthropicStandIn,
    ledger: MemoryLedger,
    on_text: Callable[[str], None] = lambda text: None,
    ask: Ask = ASK,
    deadline: float = 20.0,
) -> Answer:
    gateway = Gateway(Credentials(KEY, server.url), deadline=deadline)
    return gateway.stream(ask, ledger, on_text)


def fault(
    mode: str, server: AnthropicStandIn, ledger: MemoryLedger, deadline: float = 0.5
) -> SmnbError:
    """Returns the error when the stand-in answers in ``mode``."""
    server.mode = mode
    with pytest.raises(SmnbError) as caught:
        ask_it(server, ledger, deadline=deadline)
    return caught.value


def test_an_answer_is_booked_exactly_as_it_was_served(
    server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    answer = ask_it(server, ledger)
    (served,) = server.served
    close = ledger.last
    assert served.finished
    assert (close.state, close.counts) == ("final", served.counts)
    assert close.request_id == served.request_id
    assert (answer.complete, answer.stop_reason, answer.model) == (True, "end_turn", ASK.model)
    assert close.error is None
    assert close.first_token_ms is not None
    assert close.duration_ms is not None


def test_the_text_grows_until_it_is_the_answer(
    server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    texts: list[str] = []
    answer = ask_it(server, ledger, texts.append)
    assert len(texts) > 3
    assert all(later.startswith(sooner) for sooner, later in pairwise(texts))
    assert texts[-1] == answer.text


def test_the_row_is_reserved_before_the_request_and_started_with_the_stream(
    server: AnthropicStandIn,
) -> None:
    class Watched(MemoryLedger):
        def reserve(
            self,
            *,
            model: str,
            operation: str,
            max_tokens: int,
            input_upper: int,
            cached: bool = False,
        ) -> MemoryAttempt:
            assert server.requests == []
            return MemoryLedger.reserve(
                self,
                model=model,
                operation=operation,
                max_tokens=max_tokens,
                input_upper=input_upper,
            )

    ledger = Watched()
    ask_it(server, ledger)
    (attempt,) = ledger.attempts
    assert (attempt.model, attempt.operation, attempt.max_tokens) == (ASK.model, "narrate", 400)
    assert attempt.input_upper == ASK.input_upper()
    assert attempt.begun[0][3] == Counts(input=server.served[0].counts.input, output=1)


@pytest.mark.parametrize("mode", HALFWAY)
def test_a_stream_that_breaks_is_bounded_around_what_was_served(
    mode: str, server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    error = fault(mode, server, ledger)
    close, served = ledger.last, server.served[0].counts
    assert isinstance(error, Retry)
    assert error.code == ("overloaded" if mode == "overloaded_inside" else "stream_broken")
    assert close.state == "bounded"
    assert close.error == error.code
    assert close.counts == Counts(served.input, close.output_lower)
    assert (close.output_lower, close.output_upper) == (1, 400)
    assert 1 <= served.output <= 400


@pytest.mark.parametrize("mode", ["dies", "silent"])
def test_a_question_that_was_read_but_never_answered_has_its_input_bounded_too(
    mode: str, server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    error = fault(mode, server, ledger)
    close = ledger.last
    assert error.code == "stream_broken"
    assert (close.state, close.counts) == ("bounded", Counts())
    assert (close.output_lower, close.output_upper) == (0, 400)
    assert close.input_upper > len(PROMPT)


def test_a_server_that_is_not_there_costs_nothing(ledger: MemoryLedger) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Retry):
            Gateway(Credentials(KEY, url)).stream(ASK, ledger, lambda text: None)
    assert (ledger.last.state, ledger.last.counts) == ("final", Counts())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://[::"])
def test_an_address_that_leads_nowhere_costs_nothing(url: str, ledger: MemoryLedger) -> None:
    with pytest.raises(Retry):
        Gateway(Credentials(KEY, url)).stream(ASK, ledger, lambda text: None)
    assert (ledger.last.state, ledger.last.counts) == ("final", Counts())


@pytest.mark.parametrize("key", ["", "sk with space", "sk-line\nbreak", "sk-ümlaut"])
def test_a_key_that_cannot_be_sent_is_no_attempt_at_all(key: str, ledger: MemoryLedger) -> None:
    with pytest.raises(NeedsHuman) as caught:
        Gateway(Credentials(key, "http://127.0.0.1:9")).stream(ASK, ledger, lambda text: None)
    assert caught.value.code == "anthropic_key"
    assert not key or key not in caught.value.sentence
    assert ledger.attempts == []


@pytest.mark.parametrize(
    ("mode", "kind", "code"),
    [
        ("bad_key", NeedsHuman, "anthropic_key"),
        ("forbidden", NeedsHuman, "anthropic_key"),
        ("payment", NeedsHuman, "anthropic_credit"),
        ("credit", NeedsHuman, "anthropic_credit"),
        ("spend_limit", NeedsHuman, "anthropic_credit"),
        ("unknown_model", NeedsHuman, "model"),
        ("bad_request", NeedsHuman, "bad_request"),
        ("too_long", PromptTooLong, "prompt_too_long"),
        ("too_large", PromptTooLong, "prompt_too_long"),
        ("throttled", WaitUntil, "throttled"),
        ("throttled_untimed", Retry, "throttled"),
        ("overloaded", Retry, "overloaded"),
        ("internal", Retry, "overloaded"),
    ],
)
def test_an_error_answer_is_typed_costs_nothing_and_is_asked_once(
    mode: str,
    kind: type[SmnbError],
    code: str,
    server: AnthropicStandIn,
    ledger: MemoryLedger,
) -> None:
    error = fault(mode, server, ledger, deadline=20)
    assert (type(error), error.code) == (kind, code)
    assert len(server.requests) == len(ledger.attempts) == 1
    assert (ledger.last.state, ledger.last.counts) == ("final", Counts())
    assert ledger.last.request_id.startswith("req_standin")


@pytest.mark.parametrize(("mode", "seconds"), [("throttled", 16), ("throttled_for_hours", 900)])
def test_a_throttle_says_until_when_but_never_for_hours(
    mode: str, seconds: int, server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    before = datetime.now(UTC)
    error = fault(mode, server, ledger, deadline=20)
    assert isinstance(error, WaitUntil)
    wait = timedelta(seconds=seconds)
    assert before + wait <= error.until <= datetime.now(UTC) + wait


@pytest.mark.parametrize(
    "stream", ["", "event: message_stop\ndata: {}\n\n", "event: message_start\ndata: 7\n\n"]
)
def test_a_stream_that_never_properly_began_is_no_answer(
    stream: str, server: AnthropicStandIn, ledger: MemoryLedger, tmp_path: Path
) -> None:
    server.mode = tmp_path / "odd.sse"
    server.mode.write_text(stream.replace("{}", '{"type": "message_stop"}'))
    with pytest.raises(Retry):
        ask_it(server, ledger)
    assert (ledger.last.state, ledger.last.output_lower) == ("bounded", 0)


@pytest.mark.parametrize(
    "mode",
    [
        *HALFWAY,
        "dies",
        "silent",
        "bad_key",
        "credit",
        "bad_request",
        "too_long",
        "refusal",
        "empty",
    ],
)
def test_neither_key_nor_prompt_shows_in_an_error_or_a_log(
    mode: str, server: AnthropicStandIn, ledger: MemoryLedger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = fault(mode, server, ledger)
    shown = f"{error!r} {error} {error.sentence} {vars(error)} {caplog.text} {ledger.last!r}"
    assert "canary" not in shown
    assert (error.__cause__, error.__context__) == (None, None)


def test_credentials_and_questions_keep_their_secrets_in_a_repr() -> None:
    assert "canary" not in f"{Credentials(KEY)!r} {ASK!r} {Gateway(Credentials(KEY))!r}"


@pytest.mark.parametrize(
    "stop", [StaleClaim("taken over"), KeyboardInterrupt(), RuntimeError("time is up")]
)
def test_whatever_on_text_raises_ends_the_stream_at_once_and_comes_out(
    stop: BaseException, server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    server.pause = 0.02
    server.text = "word " * 4000
    seen = count()

    def on_text(text: str) -> None:
        if next(seen) == 2:
            raise stop

    with pytest.raises(type(stop)) as caught:
        ask_it(server, ledger, on_text, Ask(ASK.model, "s", PROMPT, 9000))
    assert caught.value is stop
    assert server.abandoned.wait(10)
    close = ledger.last
    assert (close.state, close.output_lower, close.output_upper) == ("bounded", 1, 9000)
    assert close.error == ("stale_claim" if isinstance(stop, StaleClaim) else "interrupted")
    assert not server.served[0].finished


def test_a_time_limit_that_strikes_while_waiting_is_not_taken_for_a_broken_line(
    ledger: MemoryLedger,
) -> None:
    class TimeIsUp(Exception):
        """Raised by a signal, as Celery's soft time limit is."""

    class Striking(AnthropicStandIn):
        def handle(self, request: BaseHTTPRequestHandler) -> None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            super().handle(request)

    def strike(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGUSR1, strike)
    try:
        with Striking("silent") as server, pytest.raises(TimeIsUp):
            ask_it(server, ledger)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (ledger.last.state, ledger.last.error) == ("bounded", "interrupted")


def test_an_answer_cut_at_max_tokens_is_usable_and_exact(
    server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    server.mode = "max_tokens"
    answer = ask_it(server, ledger)
    assert (answer.complete, answer.stop_reason) == (False, "max_tokens")
    assert answer.text
    assert (ledger.last.state, ledger.last.counts) == ("final", server.served[0].counts)


@pytest.mark.parametrize(("mode", "kind"), [("refusal", Refused), ("empty", EmptyAnswer)])
def test_a_refusal_and_an_empty_answer_are_paid_for_exactly(
    mode: str, kind: type[SmnbError], server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    error = fault(mode, server, ledger, deadline=20)
    assert type(error) is kind
    assert (ledger.last.state, ledger.last.counts) == ("final", server.served[0].counts)
    assert ledger.last.error == error.code


def test_a_schema_is_sent_the_way_the_api_wants_it(
    server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    schema = {"type": "object", "properties": {"narration": {"type": "string"}}}
    answer = ask_it(server, ledger, ask=Ask(ASK.model, "s", PROMPT, 400, schema))
    body = server.requests[0].body.decode()
    assert '"output_config":{"format":{"type":"json_schema","schema":{"type":"object"' in body
    assert answer.text.startswith('{"narration": ')


def test_a_run_of_every_fault_leaves_no_request_without_its_row_and_no_row_wrong(
    server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    modes = ["compose", "reset", "overloaded", "compose", "clean_eof", "max_tokens", "refusal"]
    for mode in modes:
        server.mode = mode
        try:
            ask_it(server, ledger)
        except SmnbError:
            continue
    closes = {attempt.closes[0].request_id: attempt.closes[0] for attempt in ledger.attempts}
    assert len(server.requests) == len(ledger.attempts) == len(modes)
    for served in server.served:
        close = closes[served.request_id]
        assert close.counts.input == served.counts.input
        assert close.output_lower <= served.counts.output <= close.output_upper
        assert (close.state == "final") == served.finished


def test_later_calls_read_no_certificates_and_send_the_key_of_their_own_session(
    server: AnthropicStandIn, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_it(server, ledger)
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *where: read.append(where))
    keys = [f"sk-session-{number}" for number in range(8)]

    def ask(key: str) -> str:
        return Gateway(Credentials(key, server.url)).stream(ASK, ledger, lambda text: None).text

    # At once, as the threads of one process share the HTTP client.
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, keys))
    assert (read, len(set(answers))) == ([], 1)
    sent = [request.headers["authorization"] for request in server.requests[1:]]
    assert sorted(sent) == [f"Bearer {key}" for key in keys]


def test_a_connection_is_not_used_for_a_second_call(
    server: AnthropicStandIn, ledger: MemoryLedger
) -> None:
    opened: list[object] = []
    accept = server._server.get_request
    server._server.get_request = lambda: opened.append(1) or accept()  # type: ignore[method-assign,func-returns-value]
    for _ in range(3):
        ask_it(server, ledger)
    assert len(opened) == 3


PRELOADED = """
import os, sys
import django
django.setup()
from stories.llm import Ask, Credentials, Gateway, gateway
from tests.standins.ledger import MemoryLedger

gateway.preload()
from anthropic.types import RawContentBlockDeltaEvent
complete = RawContentBlockDeltaEvent.__pydantic_complete__
loaded = set(sys.modules)
child = os.fork()
ask = Ask(model="claude-sonnet-4-6", system="Be brief.", prompt="The mill turns.", max_tokens=400)
answer = Gateway(Credentials("sk-any", sys.argv[1])).stream(ask, MemoryLedger(), lambda text: None)
assert answer.text
new = set(sys.modules) - loaded
if not child:
    os._exit(len(new) - len(new & {"encodings.idna", "stringprep"}))
print(os.waitpid(child, 0)[1], complete, *new)
"""


@pytest.mark.slow
def test_the_first_calls_after_the_preload_import_nothing_also_in_a_fork(
    server: AnthropicStandIn,
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PRELOADED, server.url],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "smnb.settings"},
    )
    status, complete, *new = run.stdout.split()
    # Names of hosts are encoded by the standard library, with every first connection.
    assert (status, complete) == ("0", "True")
    assert set(new) <= {"encodings.idna", "stringprep"}
    assert len(server.requests) == 2
