"""API keys: a session owner's own key before the operator's, the gateway they give, and key tests.

Keys leave this module only as objects that do not show them: a key never appears in a task's
arguments, an event, a log line or a repr.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.views.decorators.debug import sensitive_variables

from sessions_app import credentials as user_credentials
from sessions_app import rate_limits
from sessions_app.credentials import Service
from sessions_app.errors import NeedsHuman, NotFound, Retry, SmnbError, WaitUntil
from sessions_app.models import Session
from stories.llm import gateway
from stories.llm.errors import refused
from stories.llm.gateway import DEADLINE, Gateway, anthropic_sdk, cut_after, refusal_of, sdk_client
from stories.llm.types import Credentials
from stories.sources import reddit

EXTRACTIVE = "extractive"  # the model setting of a session that asks no model


@dataclass(frozen=True, slots=True)
class RedditKeys:
    """The two parts of an application's key at Reddit."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


@sensitive_variables()
def anthropic_of(user: User) -> Credentials | None:
    """Returns the user's own credentials, else the operator's; None when there are none.

    Raises NeedsHuman when the user's own key cannot be decrypted, because the operator's key must
    not pay without notice.
    """
    own = own_anthropic(user)
    if own is not None:
        return own
    key = settings.SMNB.anthropic_api_key.get_secret_value()
    return _credentials(key) if key else None


def has_model_key(user: User) -> bool:
    """Whether there is a key with which a model writes for the user: their own or the operator's."""
    own = Service.ANTHROPIC in user_credentials.by_service(user)
    return own or bool(settings.SMNB.anthropic_api_key.get_secret_value())


@sensitive_variables()
def own_anthropic(user: User) -> Credentials | None:
    """Returns the user's own credentials, or None."""
    parts = user_credentials.parts(user, Service.ANTHROPIC)
    return _credentials(parts["api_key"]) if parts else None


@sensitive_variables()
def own_reddit(user: User) -> RedditKeys | None:
    """Returns the user's own Reddit keys, or None; NeedsHuman when they cannot be decrypted."""
    parts = user_credentials.parts(user, Service.REDDIT)
    return RedditKeys(parts["client_id"], parts["client_secret"]) if parts else None


@sensitive_variables()
def _credentials(key: str) -> Credentials:
    return Credentials(api_key=key, base_url=settings.SMNB.anthropic_base_url or None)


def gateway_for(
    session: Session, ended: threading.Event, deadline: float = DEADLINE
) -> Gateway | None:
    """Returns the gateway to the session's model, or None where rules do the work instead.

    That is so when the session is set to ask no model, or when there is no API key. The key of the
    session's owner is used before the operator's; raises NeedsHuman when that key is unusable.
    ``deadline`` is the longest answer in seconds; setting ``ended`` closes the connection at once.
    """
    if session.model == EXTRACTIVE:
        return None
    # Keys belong to an id, so the owner's row need not be read.
    credentials = anthropic_of(User(pk=session.owner_id))
    return Gateway(credentials, deadline=deadline, ended=ended) if credentials else None


def preload() -> None:
    """Loads what the first call to a model would wait for, if there is a key for one."""
    key = settings.SMNB.anthropic_api_key.get_secret_value()
    # Without the database the first call loads it.
    with suppress(DatabaseError):
        if key or user_credentials.in_use(Service.ANTHROPIC):
            gateway.preload()


MOST_TESTS = 10  # a minute and user


def check_key(owner: User, service: str) -> str:
    """Tests the user's own key at its service; stores the result, a sentence, and returns it.

    A key that does not work is a result, not an error. Raises NotFound when there is no key,
    Conflict when it was replaced meanwhile, TooMany above ``MOST_TESTS`` a minute.
    """
    rate_limits.count("key tests", owner.pk, MOST_TESTS)
    # Read before the key is decrypted, so that a result is never stored beside a key that came later.
    row = user_credentials.by_service(owner).get(service)
    if row is None:
        raise user_credentials.missing(service)
    try:
        if service == Service.ANTHROPIC and (credentials := own_anthropic(owner)):
            number = count_models(credentials)
            result = f"Works: {number} model{'' if number == 1 else 's'}."
        elif service == Service.REDDIT and (keys := own_reddit(owner)):
            env = settings.SMNB
            reddit.check(keys.client_id, keys.client_secret, env.reddit_user_agent, env.reddit_url)
            result = "Works: Reddit accepted the keys."
        else:
            raise user_credentials.missing(service)
    except NotFound:
        raise
    except SmnbError as error:
        result = error.sentence
    # Conditional on the time when the key was set, as the test took up to ten seconds.
    user_credentials.record_test(owner, service, result, row.set_at)
    return result


# Connecting, waiting for the answer and reading it: within ten seconds altogether.
_CONNECT, _READ, _WHOLE = 3.0, 3.0, 3.0


def count_models(credentials: Credentials) -> int:
    """Returns how many models the key can use, by a request that costs nothing.

    Raises NeedsHuman or Retry with the reason.
    """
    credentials.check()
    anthropic = anthropic_sdk()
    import httpx2

    client = sdk_client(credentials, connect=_CONNECT, read=_READ)
    sentence = "The server at Anthropic's address is not Anthropic. Check ANTHROPIC_BASE_URL."
    unexpected = NeedsHuman(sentence, code="nonsense")
    failure: SmnbError
    try:
        with (
            client.models.with_streaming_response.list(limit=1000) as response,
            cut_after(_WHOLE, threading.Event(), response.http_response),
        ):
            return len(response.parse().data)
    # The SDK's exceptions hold the request with its key, so the error is raised after the clauses.
    except anthropic.APIStatusError as error:
        failure = refused(refusal_of(error, ""))
        if isinstance(failure, (Retry, WaitUntil)):
            busy = "Anthropic is busy at the moment. Test again in a minute."
            failure = Retry(busy, code=failure.code)
        elif failure.code not in {"anthropic_key", "anthropic_credit"}:
            # Any other refusal cannot come from Anthropic for this request.
            failure = unexpected
    except (anthropic.APIConnectionError, httpx2.HTTPError, OSError):
        failure = Retry("Anthropic cannot be reached. Test again later.", code="unreachable")
    except (anthropic.AnthropicError, AttributeError, TypeError, ValueError, httpx2.InvalidURL):
        failure = unexpected
    raise failure
