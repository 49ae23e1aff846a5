"""Breaking news that waits until a second, independent outlet reports the event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from broadcast.narrators.base import tone_of
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Message, Session
from stories import reports, threads
from stories.models import SourcePost
from stories.posts import selection
from stories.sources.registry import credit_of
from stories.text.cleaning import cut

LONGEST_WAIT = timedelta(hours=2)
CODE = "second_outlet"
WAITS = "“{title}” waits for a second outlet. Without one it airs in two hours, not as breaking."
# Outlets that print one agency's text are one outlet; the beginnings of the texts are compared.
_COMPARED = 200


def required(session: Session) -> bool:
    """Whether the session airs as breaking only what two independent outlets report."""
    return session.breaking_rule == Session.BreakingRule.TWO_OUTLETS


def confirmed(post: SourcePost, others: Iterable[SourcePost]) -> bool:
    """Whether an independent outlet among ``others`` reports the event of ``post`` too."""
    own = _text(post)
    repeats = reports.duplicates_of(post)
    return any(
        credit_of(other) != credit_of(post) and not (own and _text(other) == own)
        for other in (*others, *repeats)
    )


def must_wait(post: SourcePost, others: Iterable[SourcePost]) -> bool:
    """Whether a post would air as breaking and still waits for a second outlet."""
    breaking = tone_of(post.title, "") == "breaking"
    fresh = post.created_at > steps.now() - LONGEST_WAIT
    return breaking and fresh and not confirmed(post, others)


def may_air_as_breaking(post: SourcePost, others: Iterable[SourcePost]) -> bool:
    """Whether the story of a post may be called breaking; an editor's choice counts as a report."""
    return not required(post.session) or selection.placed(post) or confirmed(post, others)


def notify(session: Session, waiting: Iterable[SourcePost]) -> None:
    """Tells the owner once about each post that waits, in the caller's transaction."""
    for post in waiting:
        sentence = WAITS.format(title=cut(post.title, 120))
        if not Message.objects.filter(session=session, code=CODE, text=sentence).exists():
            recorder.add_message(session, "host", sentence, CODE)


def _text(post: SourcePost) -> str:
    # The lead, as a post that waits is read without its body.
    return " ".join(threads.report_of(post).text[:_COMPARED].casefold().split())
