"""Testing a person's own key at the service it is for; the answer is kept beside the key."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User

from sessions_app import keyring, limits
from sessions_app.errors import NotFound, SmnbError
from sessions_app.keyring import Service
from stories import keys
from stories.llm import count_models
from stories.sources import reddit_keys

MOST = 10  # a minute and person


def run(owner: User, service: str) -> str:
    """Ask the service with this person's own key; returns one sentence, which is also kept.

    A key that does not work is an answer, not an error. NotFound when there is no key to test,
    Conflict when it was replaced meanwhile, TooMany above ``MOST`` a minute.
    """
    limits.count("key tests", owner.pk, MOST)
    # Before the key is opened, so that what is said of one key is never noted at the next.
    row = keyring.kept(owner).get(service)
    if row is None:
        raise keyring.missing(service)
    try:
        verdict = _verdict(owner, service)
    except NotFound:
        raise
    except SmnbError as error:
        verdict = error.sentence
    keyring.note_test(owner, service, verdict, row.set_at)
    return verdict


def _verdict(owner: User, service: str) -> str:
    if service == Service.ANTHROPIC:
        credentials = keys.own_anthropic(owner)
        if credentials is None:
            raise keyring.missing(service)
        number = count_models(credentials)
        return f"Works: {number} model{'' if number == 1 else 's'}."
    found = keys.own_reddit(owner)
    if found is None:
        raise keyring.missing(service)
    env = settings.SMNB
    reddit_keys.check(found.client_id, found.client_secret, env.reddit_user_agent, env.reddit_url)
    return "Works: Reddit let the application in."
