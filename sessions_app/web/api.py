"""What API endpoints share: authentication, errors, idempotency, pagination and one router."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Generic, TypeVar, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousOperation
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI, Router, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation
from ninja.responses import Status
from ninja.security import HttpBearer, SessionAuth
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import api_tokens, commands, context, rate_limits, sessions
from sessions_app.commands import Command
from sessions_app.errors import Conflict, Invalid, SmnbError
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from sessions_app.web.http import status_of
from sessions_app.web.middleware import bind_request

MOST = 500

# Building all models takes a third of the start of a web process, so each is built at its first use.
Schema.model_config["defer_build"] = True


@cache
def response_model(type_: object) -> type[Schema]:
    """Returns the model of a type of response; Ninja would make one for each status of each operation."""
    return type("NinjaResponseSchema", (Schema,), {"__annotations__": {"response": type_}})


def shared_model(self: Operation, response_param: object) -> type[Schema] | None:
    return None if response_param is None else response_model(response_param)


Operation._create_response_model = shared_model  # type: ignore[method-assign]

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


class Paging(Schema):
    """The query parameters of a list."""

    limit: int = Field(50, description="Number of items on a page; at most 500 are returned.")
    cursor: str = Field(
        "", description="The value of next in the response before; empty for the first page."
    )

    @property
    def size(self) -> int:
        """The number of items on the page."""
        return max(1, min(self.limit, MOST))

    def before(self) -> int | None:
        """Returns the key before which the page begins, or None; Invalid for a foreign cursor."""
        if not self.cursor:
            return None
        if not self.cursor.isdecimal() or len(self.cursor) > 18:
            raise Invalid("cursor: must be the value of next in an earlier response.")
        return int(self.cursor)


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        owner = api_tokens.owner_of(token)
        if owner is not None:
            request.user = owner
        return owner


class Cookie(SessionAuth):
    """The session cookie of the pages; requests that change something need a CSRF token."""


# The bearer token is tried first: a program that sends one needs no CSRF token.
AUTH = [Bearer(), Cookie(csrf=True)]


def user_of(request: HttpRequest) -> User:
    """Returns the authenticated user of a request that ``caller`` or ``owned`` has counted."""
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


def owned(request: HttpRequest, session_id: str, *only: str) -> Session:
    """Returns the caller's session and adds it to the log lines; NotFound for another user's.

    ``only`` is that of ``sessions.get``.
    """
    session = sessions.get(caller(request), session_id, *only)
    context.bind(**context.session_fields(session))
    return session


def once(request: HttpRequest, status: int, effect: Callable[[], Item]) -> Status[Item]:
    """Runs ``effect`` at most once for the Idempotency-Key and returns its result with ``status``."""
    key = request.headers.get("Idempotency-Key", "")
    body = request.body.decode("utf-8", "replace")
    digest = commands.digest_of(request.method or "", request.path, body)
    answer = commands.run_once(user_of(request), key, digest, lambda: (status, effect()))
    return Status(*answer)


def run_command(
    request: HttpRequest,
    session_id: str,
    command: Command[R],
    data: object,
    show: Callable[[R], Item],
    status: int = 200,
) -> Status[Item]:
    """Runs a command on the caller's session, once per Idempotency-Key, and shows its result."""
    session, actor = owned(request, session_id), user_of(request)
    return once(request, status, lambda: show(commands.run(command, actor, session, data)))


def page_of(
    rows: QuerySet[M], paging: Paging, show: Callable[[M], Item], by: str = "id"
) -> Page[Item]:
    """Returns one page of ``rows``, newest first by the integer key ``by``.

    It is read by key: an offset would get slower with every page.
    """
    before = paging.before()
    if before is not None:
        rows = rows.filter(**{f"{by}__lt": before})
    read = list(rows.order_by(f"-{by}")[: paging.size + 1])
    return cut(read, paging, show, lambda row: getattr(row, by))


def cut(
    rows: Sequence[Row], paging: Paging, show: Callable[[Row], Item], key: Callable[[Row], object]
) -> Page[Item]:
    """Returns a page of ``rows``, of which the caller has read one more than fits on it.

    The extra row shows whether another page follows, without counting all rows.
    """
    shown = rows[: paging.size]
    more = len(rows) > paging.size
    return {
        "items": [show(row) for row in shown],
        "next": str(key(shown[-1])) if more else None,
    }


def install_errors(api: NinjaAPI) -> None:
    """Registers a handler for each kind of error; each responds with a ``Problem``."""

    def problem(code: str, detail: str) -> dict[str, str]:
        return {"code": code, "detail": detail}

    @api.exception_handler(SmnbError)
    def handle_ours(request: HttpRequest, error: SmnbError) -> HttpResponse:
        body = problem(error.code, error.sentence)
        if isinstance(error, Conflict):
            body["state"] = error.state
        response = api.create_response(request, body, status=status_of(error))
        if isinstance(error, TooMany):
            response["Retry-After"] = str(error.after)
        return response

    @api.exception_handler(ValidationError)
    def handle_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        wrong = [
            f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}"
            for item in error.errors
        ]
        return api.create_response(request, problem("invalid", "; ".join(wrong)), status=422)

    @api.exception_handler(AuthenticationError)
    def handle_unauthorized(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        detail = "Sign in, or send a valid bearer token."
        return api.create_response(request, problem("unauthorized", detail), status=401)

    @api.exception_handler(HttpError)
    def handle_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
        body = problem("bad_request", str(error))
        return api.create_response(request, body, status=error.status_code)

    @api.exception_handler(RawPostDataException)
    def handle_form(request: HttpRequest, error: RawPostDataException) -> HttpResponse:
        # The body is a form, which the CSRF check has already read.
        detail = "Send JSON, with the content type application/json."
        return api.create_response(request, problem("invalid", detail), status=422)

    @api.exception_handler(MultiPartParserError)
    @api.exception_handler(SuspiciousOperation)
    def handle_unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
        detail = "The form cannot be read, or has too many fields. Send it again as a browser does."
        return api.create_response(request, problem("bad_request", detail), status=400)

    @api.exception_handler(Http404)
    def handle_not_found(request: HttpRequest, error: Http404) -> HttpResponse:
        body = problem("not_found", "There is no such object.")
        return api.create_response(request, body, status=404)


# One router for all paths under /sessions: a path has one view for all its methods, also when they
# are defined in different modules.
router = Router(tags=["sessions"])
