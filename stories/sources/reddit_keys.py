"""Trying Reddit keys: a token for the application alone is fetched and thrown away."""

from __future__ import annotations

from sessions_app.errors import NeedsHuman, Retry, SmnbError

TIMEOUT = 4.0  # seconds to connect, and again for the answer
REFUSED = "Reddit refused these keys. Check the client id and the secret of the application."


def check(client_id: str, client_secret: str, user_agent: str, reddit_url: str) -> None:
    """Return when Reddit gives a token for these keys; raises NeedsHuman or Retry with the reason."""
    import prawcore

    requestor = prawcore.Requestor(user_agent=user_agent, reddit_url=reddit_url, timeout=TIMEOUT)
    authenticator = prawcore.TrustedAuthenticator(
        client_id=client_id, client_secret=client_secret, requestor=requestor
    )
    try:
        prawcore.ReadOnlyAuthorizer(authenticator=authenticator).refresh()
    # What prawcore raises holds the request with its keys, so nothing of it goes on.
    except prawcore.OAuthException:
        failure: SmnbError = NeedsHuman(REFUSED, code="reddit_key")
    except prawcore.ResponseException as error:
        failure = _by_status(error.response.status_code)
    except prawcore.PrawcoreException:
        failure = Retry("Reddit cannot be reached. Try again later.", code="unreachable")
    except (LookupError, TypeError, ValueError):
        failure = Retry("Reddit's answer made no sense. Try again later.", code="nonsense")
    else:
        return
    finally:
        requestor.close()
    raise failure


def _by_status(status: int) -> SmnbError:
    if status in {400, 401, 403}:
        return NeedsHuman(REFUSED, code="reddit_key")
    if status == 429:
        return Retry("Reddit asks us to wait. Try again in a few minutes.", code="throttled")
    return Retry(f"Reddit cannot answer at the moment ({status}). Try again later.")
