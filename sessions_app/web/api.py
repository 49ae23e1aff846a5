"""What every API endpoint shares: who calls, error answers, idempotency, pages by key.

The one router of sessions: a path has one view, whatever its methods and wherever they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from ninja import NinjaAPI, Router, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.responses import Status
from ninja.security import HttpBearer, SessionAuth
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import api_tokens, commands, context, rate_limits, sessions
from sessions_app.commands import Command
from sessions_app.errors import Conflict, Invalid, NotFound, SmnbError
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from sessions_app.web.middleware import bind_request

MOST = 500

M = TypeVar("M", bound=Model)
R = TypeVar("R")
Row = TypeVar("Row")
Item = TypeVar("Item")


class Problem(Schema):
    """The body of every error response."""

    code: str = Field(description="A stable code for programs, such as not_found or invalid.")
    detail: str = Field(description="What is wrong, as a sentence for people.")
    state: str | None = Field(
        None, description="With status 409 the current state of the object, otherwise null."
    )


PROBLEMS: dict[frozenset[int], type[Problem]] = {
    frozenset({400, 401, 403, 404, 409, 422, 429, 503}): Problem
}


class Page(TypedDict, Generic[Item]):
    """One page of a list, newest first."""

    items: Annotated[list[Item], Field(description="The items of this page.")]
    next: Annotated[
        str | None, Field(description="The cursor of the following page; null on the last one.")
    ]


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        owner = api_tokens.owner_of(token)
        if owner is not None:
            request.user = owner
        return owner


class Cookie(SessionAuth):
    """The pages' own session, with CSRF on whatever changes something."""


AUTH = [Bearer(), Cookie(csrf=True)]


def user_of(request: HttpRequest) -> User:
    """The authenticated user of a request that ``caller`` or ``owned`` has counted."""
    return cast("User", request.user)


def caller(request: HttpRequest) -> User:
    """Counts the request against the caller's rate limit and returns the caller."""
    user = user_of(request)
    bind_request(request, user=user.pk)
    env = settings.SMNB
    reading = request.method in {"GET", "HEAD"}
    name, limit = ("reads", env.limit_reads) if reading else ("writes", env.limit_writes)
    rate_limits.count(name, user.pk, limit)
    return user


def owned(request: HttpRequest, session_id: str) -> Session:
    """The caller's session, bound to the log lines; NotFound for anybody else's."""
    session = sessions.get(caller(request), session_id)
    context.bind(**context.session_fields(session))
    return session


def once(request: HttpRequest, status: int, effect: Callable[[], Item]) -> Status[Item]:
    """Run ``effect`` at most once for the POST's Idempotency-Key and answer with its result."""
    key = request.headers.get("Idempotency-Key", "")
    try:
        body = request.body.decode("utf-8", "replace")
    except RawPostDataException:  # a form, which the CSRF check has read
        raise Invalid("Send JSON, with the content type application/json.") from None
    digest = commands.digest_of(request.method or "", request.path, body)
    answer = commands.run_once(user_of(request), key, digest, lambda: (status, effect()))
    return Status(*answer)


def run_command(
    request: HttpRequest,
    session_id: str,
    command: Command[R] | str,
    data: object,
    show: Callable[[R], Item],
    status: int = 200,
) -> Status[Item]:
    """Runs a command on the caller's session, once per Idempotency-Key, and shows its result."""
    session, actor = owned(request, session_id), user_of(request)
    return once(request, status, lambda: show(commands.run(command, actor, session, data)))


def key_of(cursor: str) -> int | None:
    """The key before which a page begins; None for the first one."""
    if not cursor:
        return None
    if not cursor.isdecimal() or len(cursor) > 18:
        raise Invalid("cursor: not one that we gave.")
    return int(cursor)


def page_size(limit: int) -> int:
    """The number of items on a page for the ``limit`` a caller asks for."""
    return max(1, min(limit, MOST))


def page_of(
    rows: QuerySet[M],
    limit: int,
    cursor: str,
    show: Callable[[M], Item],
    by: str = "id",
) -> Page[Item]:
    """One page of ``rows`` (newest first by the integer key ``by``), read by key, not by offset."""
    before = key_of(cursor)
    if before is not None:
        rows = rows.filter(**{f"{by}__lt": before})
    size = page_size(limit)
    return cut(list(rows.order_by(f"-{by}")[: size + 1]), size, show, lambda row: getattr(row, by))


def cut(
    rows: Sequence[Row], size: int, show: Callable[[Row], Item], key: Callable[[Row], object]
) -> Page[Item]:
    """A page of ``rows``, of which the caller has read one more than fits on it."""
    shown = rows[:size]
    more = len(rows) > size
    return {
        "items": [show(row) for row in shown],
        "next": str(key(shown[-1])) if more else None,
    }


STATUSES: Mapping[type[SmnbError], int] = {NotFound: 404, Invalid: 422, Conflict: 409, TooMany: 429}


def install_errors(api: NinjaAPI) -> None:
    """Answer every error as ``{code, detail}``; nothing else of ours reaches the caller."""

    def handle(error: type[Exception], found: Callable[[Any], tuple[int, dict[str, str]]]) -> None:
        def answer(request: HttpRequest, raised: Any) -> HttpResponse:
            status, problem = found(raised)
            response = api.create_response(request, problem, status=status)
            if isinstance(raised, TooMany):
                response["Retry-After"] = str(raised.after)
            return response

        api.add_exception_handler(error, answer)

    handle(SmnbError, _ours)
    handle(ValidationError, _invalid)
    handle(AuthenticationError, lambda _: (401, _problem("unauthorized", _SIGN_IN)))
    handle(HttpError, lambda error: (error.status_code, _problem("bad_request", str(error))))
    handle(Http404, lambda _: (404, _problem("not_found", "There is no such thing.")))


_SIGN_IN = "Sign in, or send a valid bearer token."


def _problem(code: str, detail: str) -> dict[str, str]:
    return {"code": code, "detail": detail}


def _ours(error: SmnbError) -> tuple[int, dict[str, str]]:
    problem = _problem(error.code, error.sentence)
    if isinstance(error, Conflict):
        problem["state"] = error.state
    found = (status for kind, status in STATUSES.items() if isinstance(error, kind))
    return next(found, 503), problem


def _invalid(error: ValidationError) -> tuple[int, dict[str, str]]:
    wrong = [
        f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}"
        for item in error.errors
    ]
    return 422, _problem("invalid", "; ".join(wrong))


router = Router(tags=["sessions"])
