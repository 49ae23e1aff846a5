"""Public audio: sounds of stories, episodes with their show notes, and the podcast feed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from broadcast import public_links, queries, session_commands
from broadcast.models import Episode, Recorded
from broadcast.public import podcast, share_card
from broadcast.public.share_card import Card
from broadcast.public.stream_views import PIECES
from broadcast.public.views import cacheable, cacheable_content, public, shared
from broadcast.replay import queries as replay_queries
from broadcast.replay import runs
from broadcast.speech import engines, episodes, sounds
from broadcast.speech.engines import Unspoken
from broadcast.speech.episodes import MOST_STORIES
from broadcast.transfer.formats.srt_format import spoken_cues, webvtt
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from sessions_app.realtime.batching import OneResponse
from stories import artwork as pictures
from stories import disclosure, stories
from stories.models import Story

EARLIER_CARDS = 20
CAPTIONS = re.compile(r"/watch/([A-Za-z0-9_-]{1,100})/sounds/\d{1,19}\.vtt")


@shared
@public
def sound(request: HttpRequest, session: Session, sound_id: int) -> HttpResponseBase:
    """The sound of a published story."""
    return _send(request, sounds.find(session, sound_id))


@shared
@public
def sound_captions(request: HttpRequest, session: Session, sound_id: int) -> HttpResponse:
    """The words of a published story as WebVTT, at their times in its sound."""
    row = sounds.find(session, sound_id)
    cues = spoken_cues(row.story.narrative, row.times, 0.0, row.seconds)
    response = cacheable_content(request, webvtt(cues).encode(), "text/vtt; charset=utf-8")
    # A corrected story has another sound, so these captions never change.
    response["Cache-Control"] = PIECES
    return response


class Version(NamedTuple):
    """What the captions of a session depend on: each pull or correction is one of its events."""

    session: UUID
    last_seq: int


def versions(tokens: Iterable[str]) -> dict[str, Version | None]:
    """Returns the versions of the sessions with these links; None for a link that is not valid."""
    found: dict[str, Version | None] = dict.fromkeys(tokens)
    rows = Session.objects.filter(watch_token__in=list(found), visible=True)
    for token, pk, last_seq in rows.values_list("watch_token", "pk", "stats__last_seq"):
        found[token] = Version(pk, last_seq)
    return found


def captions_once(application: Any) -> OneResponse[Version]:
    """Wraps the application so that all who listen to a story get one response with its captions."""
    return OneResponse(application, CAPTIONS, versions, lambda *_: None)


@shared
@public
def audio(
    request: HttpRequest, session: Session, run_number: int, suffix: str = ""
) -> HttpResponseBase:
    """An episode: a finished broadcast as one audio file, under a name with the suffix of its type.

    The name without a suffix is the one in feeds that apps stored earlier.
    """
    row = episodes.find(session, run_number)
    if suffix not in ("", sounds.SUFFIXES[row.media_type]):
        raise Http404("The episode has another type.")
    return _send(request, row)


@shared
@public
def transcript(
    request: HttpRequest, session: Session, run_number: int, suffix: str
) -> HttpResponse:
    """Sends the text of an episode as captions."""
    write, media_type = TRANSCRIPTS[suffix]
    text = write(_find_with_contents(session, run_number))
    return cacheable_content(request, text.encode(), f"{media_type}; charset=utf-8")


@shared
@public
def chapters(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """When each story of an episode begins."""
    content = podcast.chapters(_find_with_contents(session, run_number))
    text = json.dumps(content, ensure_ascii=False)
    return cacheable_content(request, text.encode(), "application/json+chapters; charset=utf-8")


@shared
@public
def captions(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """The words of a finished run at the times of its replay."""
    recording = runs.find(session, run_number, recorder.PUBLIC)
    text = replay_queries.captions(recording)
    return cacheable_content(request, text.encode(), "text/vtt; charset=utf-8")


TRANSCRIPTS = {
    "vtt": (podcast.webvtt, "text/vtt"),
    "srt": (podcast.subrip, "application/x-subrip"),
}


def _find_with_contents(session: Session, run_number: int) -> Episode:
    """Returns the episode if its contents are known; one of an old version has none."""
    row = episodes.find(session, run_number)
    if not row.contents:
        raise Http404("This episode has no transcript.")
    return row


@shared
@public
def identification(request: HttpRequest, session: Session) -> HttpResponse:
    """The spoken station identification, for pages that play the sounds of stories."""
    latest = list(stories.published(session)[:1])
    text = episodes.identification(session, [disclosure.of_story(story) for story in latest])
    if not engines.available():
        raise Http404("No speech engine is installed.")
    try:
        data = episodes.identification_sound(session, text)
    except Unspoken as error:
        raise Http404(error.sentence) from None
    return cacheable_content(request, data, "audio/mpeg")


@shared
@public
def cover(request: HttpRequest, session: Session) -> HttpResponse:
    """The cover of the podcast."""

    def draw() -> HttpResponse:
        return HttpResponse(podcast.draw_cover(session.name), content_type="image/png")

    return cacheable(request, podcast.cover_tag(session.name), draw)


@shared
@public
def card(request: HttpRequest, session: Session) -> HttpResponse:
    """The share card: the latest published headline, of one thread with ``?thread=``."""
    rows = stories.published(session).prefetch_related(None)
    in_thread = queries.key_of(request.GET.get("thread", ""))
    story = rows.filter(thread=in_thread).first() if in_thread is not None else rows.first()
    shown = _card_of(session, story)
    try:
        data = share_card.drawn(session.pk, shown)
    except TooMany as error:
        # The newest card that is drawn and whose headline is still published.
        cards = [_card_of(session, row) for row in [*rows[:EARLIER_CARDS], None]]
        shown = next((each for each in cards if share_card.stored(each)), shown)
        if (earlier := share_card.stored(shown)) is None:
            return HttpResponse(status=429, headers={"Retry-After": str(error.after)})
        data = earlier
    return cacheable(request, shown.tag, lambda: HttpResponse(data, content_type="image/png"))


def _card_of(session: Session, story: Story | None) -> Card:
    if story is None:
        return Card(session.name, "Live news", "hills-3")
    name = pictures.name_of(story.thread_id or story.pk, [*story.topics, story.title])
    return Card(session.name, story.title, name)


@require_safe
@cache_control(public=True, max_age=7 * 86_400)
def artwork(request: HttpRequest, name: str) -> HttpResponse:
    """The artwork of a thread or story; its address says all that is drawn."""
    drawn = pictures.picture(name)
    if drawn is None:
        raise Http404("There is no such picture.")
    return HttpResponse(pictures.svg(drawn), content_type="image/svg+xml")


def _send(request: HttpRequest, recorded: Recorded) -> HttpResponseBase:
    return storage.send(request, recorded.path, recorded.media_type, recorded.sha256)


@public
def episode(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """An episode with its player and its stories, each playing from where it begins."""
    row = episodes.find(session, run_number)
    notes = podcast.show_notes([row], MOST_STORIES).get(row.run_id, [])
    begins = {part["story"]: part["at"] for part in row.contents}
    # Where a story without a label is one that an editor answers for, each other one has its own.
    each_has_its_own = session.ai_label == Session.AILabel.UNREVIEWED
    labels = [] if each_has_its_own else [note["disclosure"] for note in notes]
    page = {
        "session": {"name": session.name, "language": public_links.tag(session.language)},
        "token": session.watch_token,
        "episode": row,
        "stories": [{**note, "begins": begins.get(note["id"])} for note in notes],
        "usual": disclosure.usual(labels),
        "home": session_commands.watch_url(session),
        "label": session.ai_label,
    }
    return render(request, "public/episode.html", page)


@shared
@public
def podcast_feed(request: HttpRequest, session: Session) -> HttpResponse:
    """The podcast feed, or 304 if the reader has it already."""
    text = podcast.rss(session, session_commands.watch_url(session) or "")
    # The feed has no other version: it depends on stories, pulls and the name of the session.
    return cacheable_content(request, text, "application/rss+xml")
