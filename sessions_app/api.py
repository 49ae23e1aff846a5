"""What every API endpoint shares: who calls, error answers, idempotency, pages by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer, SessionAuth

from sessions_app import commands, context, lifecycle, limits, tokens
from sessions_app.errors import Conflict, Invalid, NotFound, SmnbError
from sessions_app.limits import TooMany
from sessions_app.models import Session

MOST = 500
M = TypeVar("M", bound=Model)


class Problem(Schema):
    """Every error answer."""

    code: str
    detail: str
    state: str | None = None


PROBLEMS: dict[frozenset[int], type[Problem]] = {
    frozenset({400, 401, 403, 404, 409, 422, 429, 503}): Problem
}


class Page(Schema):
    """Newest first; ``next`` is the cursor of the following page, None at the end."""

    items: list[dict[str, Any]]
    next: str | None


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        owner = tokens.owner_of(token)
        if owner is not None:
            request.user = owner
        return owner


class Cookie(SessionAuth):
    """The pages' own session, with CSRF on whatever changes something."""


AUTH = [Bearer(), Cookie(csrf=True)]


def caller(request: HttpRequest) -> User:
    """The authenticated person, after the rate limit of this kind of request."""
    user = cast("User", request.user)
    env = settings.SMNB
    reading = request.method in {"GET", "HEAD"}
    name, limit = ("reads", env.limit_reads) if reading else ("writes", env.limit_writes)
    limits.count(name, user.pk, limit)
    return user


def owned(request: HttpRequest, session_id: str) -> Session:
    """The caller's session, bound to the log lines; NotFound for anybody else's."""
    session = lifecycle.get(caller(request), session_id)
    context.bind(session=session.pk)
    return session


def once(
    request: HttpRequest, effect: Callable[[], tuple[int, dict[str, Any]]]
) -> tuple[int, dict[str, Any]]:
    """Have a POST's effect once for its Idempotency-Key."""
    key = request.headers.get("Idempotency-Key", "")
    body = request.body.decode("utf-8", "replace")
    digest = commands.digest_of(request.method or "", request.path, body)
    return commands.once(cast("User", request.user), key, digest, effect)


def page_of(
    rows: QuerySet[M],
    limit: int,
    cursor: str,
    show: Callable[[M], dict[str, Any]],
    by: str = "id",
) -> dict[str, Any]:
    """One page of ``rows`` (newest first by the integer key ``by``), read by key, not by offset."""
    if cursor:
        if not cursor.isdecimal():
            raise Invalid("cursor: not one that we gave.")
        rows = rows.filter(**{f"{by}__lt": int(cursor)})
    most = max(1, min(limit, MOST))
    found = list(rows.order_by(f"-{by}")[: most + 1])
    more = len(found) > most
    found = found[:most]
    return {
        "items": [show(row) for row in found],
        "next": str(getattr(found[-1], by)) if more else None,
    }


def install_errors(api: NinjaAPI) -> None:
    """Answer every error as ``{code, detail}``; nothing else of ours reaches the caller."""

    def answer(
        request: HttpRequest, status: int, code: str, detail: str, **more: str
    ) -> HttpResponse:
        return api.create_response(request, {"code": code, "detail": detail, **more}, status=status)

    statuses: Mapping[type[SmnbError], int] = {NotFound: 404, Invalid: 422, TooMany: 429}

    @api.exception_handler(SmnbError)
    def ours(request: HttpRequest, error: SmnbError) -> HttpResponse:
        if isinstance(error, Conflict):
            return answer(request, 409, error.code, error.sentence, state=error.state)
        response = answer(request, statuses.get(type(error), 503), error.code, error.sentence)
        if isinstance(error, TooMany):
            response["Retry-After"] = str(error.after)
        return response

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        wrong = [
            f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}"
            for item in error.errors
        ]
        return answer(request, 422, "invalid", "; ".join(wrong))

    @api.exception_handler(AuthenticationError)
    def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        return answer(request, 401, "unauthorized", "Sign in, or send a valid bearer token.")

    @api.exception_handler(HttpError)
    def plain(request: HttpRequest, error: HttpError) -> HttpResponse:
        return answer(request, error.status_code, "bad_request", str(error))

    @api.exception_handler(Http404)
    def missing(request: HttpRequest, error: Http404) -> HttpResponse:
        return answer(request, 404, "not_found", "There is no such thing.")
