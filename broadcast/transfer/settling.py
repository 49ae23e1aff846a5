"""What was under way when a session was exported comes to rest where it is brought in."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import Cause, State, follow
from sessions_app import chain
from sessions_app.errors import Invalid
from sessions_app.models import AILink, Session
from stories.drafting.room import STOPPED
from stories.models import Draft, DraftMessage, DraftVersion, SourcePost, Story, StoryThread

_LATER = "Its story came after the export."
_UNDER_WAY = "It was under way when the session was exported. Resume goes on with it here."


def rows(session: Session) -> None:
    """Put right what changed while the export was under way; before the figures are counted."""
    untold = SourcePost.objects.filter(session=session, state=SourcePost.State.TOLD, story=None)
    untold.update(state=SourcePost.State.SKIPPED, reason=_LATER)
    Airing.objects.filter(session=session, finished_at=None).update(finished_at=F("finish_at"))
    on_air = Story.objects.filter(session=session, state=Story.State.AIRING)
    on_air.update(state=Story.State.AIRED)
    _drafts(session)
    of_thread = Story.objects.filter(thread=OuterRef("pk")).order_by().values("thread")
    told = of_thread.annotate(number=Count("pk")).values("number")
    StoryThread.objects.filter(session=session).update(story_count=Coalesce(Subquery(told), 0))
    _heads(session)


def _drafts(session: Session) -> None:
    turns = DraftMessage.objects.filter(draft=OuterRef("pk")).order_by().values("draft")
    versions = DraftVersion.objects.filter(draft=OuterRef("pk")).order_by().values("draft")
    mine = Draft.objects.filter(session=session)
    mine.update(
        turns=Coalesce(Subquery(turns.annotate(top=Max("turn")).values("top")), 0),
        version=Coalesce(Subquery(versions.annotate(top=Max("number")).values("top")), 0),
    )
    mine.filter(state__in=Draft.OPEN).exclude(note_code=STOPPED).update(
        state=Draft.State.WAITING, note=_UNDER_WAY, note_code=STOPPED
    )


def _heads(session: Session) -> None:
    """Where the AI chain stands, as a whole and for each run."""
    chain.resume(session)
    own = AILink.objects.filter(session=session, run_number=OuterRef("number"))
    newest = own.order_by("-number").values("pk")[:1]
    Broadcast.objects.filter(session=session).update(ai_head=Subquery(newest))


def runs(session: Session, owner: User, at: datetime) -> None:
    """Stop a run that was on air ``at`` this moment of the export; after the figures are counted."""
    for each in Broadcast.objects.filter(session=session):
        if _folded(each) != each.state:
            raise Invalid(f"Run {each.number} is {each.state}, but its changes lead elsewhere.")
    run = orchestrator.active(session)
    if run is None:
        return
    # Without its start it counts no time on air: what it had, the figures say.
    live_at = run.live_at
    Broadcast.objects.filter(pk=run.pk).update(live_at=None)
    run.refresh_from_db()
    if run.state != State.STOPPING:
        run = orchestrator.transition(run, Cause.STOP, owner, hold=None)
    orchestrator.settle(run)
    Broadcast.objects.filter(pk=run.pk).update(live_at=live_at, stopped_at=at)


def _folded(run: Broadcast) -> str:
    state = State.IDLE
    for change in StateChange.objects.filter(run=run).order_by("epoch"):
        after = follow(state, Cause(change.cause)) if change.cause in set(Cause) else None
        if after is None:
            return ""
        state = after
    return state
