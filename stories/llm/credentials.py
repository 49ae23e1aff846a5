"""The keys a session's owner uses: their own before the operator's. They leave here as objects only.

Nothing below ever stands in a task's arguments, an event, a log line or a repr.

Testing a person's own key at the service it is for; the answer is kept beside the key.

Asking which models a key may use: an authenticated request that costs nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import httpx2
from django.conf import settings
from django.contrib.auth.models import User
from django.views.decorators.debug import sensitive_variables

from sessions_app import credentials as user_credentials
from sessions_app import rate_limits
from sessions_app.credentials import Service
from sessions_app.errors import NeedsHuman, NotFound, Retry, SmnbError, WaitUntil
from sessions_app.models import Session
from stories.llm.errors import refused
from stories.llm.gateway import DEADLINE, Gateway, anthropic_sdk, cut_after, refusal_of
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
    """The credentials for this person's questions, or None when there are none at all.

    Raises NeedsHuman when their own key cannot be opened: the operator does not pay unseen.
    """
    own = user_credentials.parts(user, Service.ANTHROPIC)
    key = own["api_key"] if own else settings.SMNB.anthropic_api_key.get_secret_value()
    return _credentials(key) if key else None


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
    credentials = anthropic_of(session.owner)
    return Gateway(credentials, deadline=deadline, ended=ended) if credentials else None


@sensitive_variables()
def own_anthropic(user: User) -> Credentials | None:
    """The person's own credentials alone."""
    own = user_credentials.parts(user, Service.ANTHROPIC)
    return _credentials(own["api_key"]) if own else None


@sensitive_variables()
def reddit_of(user: User) -> RedditKeys | None:
    """The keys for this person's sources, or None: then the public feeds are read."""
    found = own_reddit(user)
    if found is not None:
        return found
    env = settings.SMNB
    secret = env.reddit_client_secret.get_secret_value()
    return RedditKeys(env.reddit_client_id, secret) if env.reddit_client_id and secret else None


@sensitive_variables()
def own_reddit(user: User) -> RedditKeys | None:
    """The person's own keys alone; NeedsHuman when they cannot be opened."""
    own = user_credentials.parts(user, Service.REDDIT)
    return RedditKeys(own["client_id"], own["client_secret"]) if own else None


@sensitive_variables()
def _credentials(key: str) -> Credentials:
    return Credentials(api_key=key, base_url=settings.SMNB.anthropic_base_url or None)


MOST = 10  # a minute and person


def run(owner: User, service: str) -> str:
    """Ask the service with this person's own key; returns one sentence, which is also kept.

    A key that does not work is an answer, not an error. NotFound when there is no key to test,
    Conflict when it was replaced meanwhile, TooMany above ``MOST`` a minute.
    """
    rate_limits.count("key tests", owner.pk, MOST)
    # Before the key is opened, so that what is said of one key is never noted at the next.
    row = user_credentials.by_service(owner).get(service)
    if row is None:
        raise user_credentials.missing(service)
    try:
        verdict = _verdict(owner, service)
    except NotFound:
        raise
    except SmnbError as error:
        verdict = error.sentence
    user_credentials.record_test(owner, service, verdict, row.set_at)
    return verdict


def _verdict(owner: User, service: str) -> str:
    if service == Service.ANTHROPIC:
        credentials = own_anthropic(owner)
        if credentials is None:
            raise user_credentials.missing(service)
        number = count_models(credentials)
        return f"Works: {number} model{'' if number == 1 else 's'}."
    found = own_reddit(owner)
    if found is None:
        raise user_credentials.missing(service)
    env = settings.SMNB
    reddit.check(found.client_id, found.client_secret, env.reddit_user_agent, env.reddit_url)
    return "Works: Reddit let the application in."


# Connecting, waiting for the answer and reading it: within ten seconds altogether.
_CONNECT, _READ, _WHOLE = 3.0, 3.0, 3.0


def count_models(credentials: Credentials) -> int:
    """How many models there are for this key; raises NeedsHuman or Retry, with the reason."""
    credentials.check()
    anthropic = anthropic_sdk()
    client = anthropic.Anthropic(
        api_key=credentials.api_key,
        base_url=credentials.base_url,
        timeout=httpx2.Timeout(connect=_CONNECT, read=_READ, write=_READ, pool=_READ),
        max_retries=0,
        open_telemetry=False,
    )
    try:
        with (
            client,
            client.models.with_streaming_response.list(limit=1000) as response,
            cut_after(_WHOLE, threading.Event(), response.http_response),
        ):
            return len(response.parse().data)
    except anthropic.APIStatusError as error:
        failure = _typed(refused(refusal_of(error, "")))
    except (anthropic.APIConnectionError, httpx2.HTTPError, OSError):
        failure = Retry("Anthropic cannot be reached. Test again later.", code="unreachable")
    except (anthropic.AnthropicError, AttributeError, TypeError, ValueError, httpx2.InvalidURL):
        failure = _nonsense()
    raise failure


def _typed(found: SmnbError) -> SmnbError:
    """What concerns the key as it is; everything else in words that fit a test."""
    if found.code in {"anthropic_key", "anthropic_credit"}:
        return found
    if isinstance(found, (Retry, WaitUntil)):
        return Retry("Anthropic is busy at the moment. Test again in a minute.", code=found.code)
    return _nonsense()


def _nonsense() -> SmnbError:
    sentence = "What answers at Anthropic's address is not Anthropic. Check ANTHROPIC_BASE_URL."
    return NeedsHuman(sentence, code="nonsense")
