"""The codes with which the studio closes a socket, and what they mean.

Daphne sends only 1000 and 3000 to 4999. Pages connect again after every code but ``SIGN_IN`` and
``NO_SESSION``.
"""

from __future__ import annotations

NOT_UNDERSTOOD = 4400
SIGN_IN = 4401
NO_SESSION = 4404
GOING_AWAY = 4012
TRY_LATER = 4013

# For the authors of clients, as the docs show them.
MEANINGS = (
    (NOT_UNDERSTOOD, 'The message is invalid. Send only {"after": seq}.'),
    (SIGN_IN, "Not signed in, or the token is invalid. Sign in again."),
    (
        NO_SESSION,
        "The session does not exist or belongs to another user, or the link was revoked.",
    ),
    (GOING_AWAY, "The socket was open for hours, or the server stops. Connect again at once."),
    (TRY_LATER, "Too many sockets or messages. Connect again later."),
)
