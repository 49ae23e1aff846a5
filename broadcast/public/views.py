"""The public pages: no sign-in, no cookies, read-only. A revoked link closes them all.

The only data that a public page sends are reports of its own errors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from csp.decorators import csp_replace
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from broadcast import next_story, public_links, queries, session_commands
from broadcast.models import Airing
from broadcast.public import feeds
from broadcast.replay import queries as replay_queries
from broadcast.replay import runs
from broadcast.replay.runs import Recording
from broadcast.speech import engines, episodes, sounds
from broadcast.states import State
from broadcast.stream import stream
from sessions_app import context, sessions
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.files import artifacts, storage
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from sessions_app.session_logs import browser_errors
from sessions_app.session_logs.browser_errors import AudienceErrorForm
from sessions_app.web.http import is_same_origin, status_of
from sessions_app.web.middleware import QUIET, bind_request
from stories import disclosure, stories

P = ParamSpec("P")

LONGEST_REPORT = 32_768  # bytes


def public(
    view: Callable[Concatenate[HttpRequest, Session, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]:
    """Opens a page of a visible session to everyone with its link; an invalid link gets 404."""

    @wraps(view)
    def opened(
        request: HttpRequest, token: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            session = sessions.by_watch_token(token)
        except NotFound:
            # The same page for a revoked and an unknown link, so that guessing shows nothing.
            return _with_headers(render(request, "public/gone.html", status=404))
        bind_request(request, **context.session_fields(session))
        try:
            return _with_headers(view(request, session, *args, **kwargs))
        except (Http404, NotFound):
            page = {"session": session, "why": "It may have been withdrawn since."}
            return _with_headers(render(request, "public/missing.html", page, status=404))

    return require_safe(opened)  # type: ignore[return-value]


# What a script of another site may send and read: players ask for ranges, readers for changes.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "If-Modified-Since, If-None-Match, If-Range, Range",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, ETag",
}


def shared(view: Callable[P, HttpResponseBase]) -> Callable[P, HttpResponseBase]:
    """Lets pages of other sites read a public view, as web players and feed readers do.

    The response depends on no cookie, so it reveals nothing that the link does not.
    """

    @wraps(view)
    def answered(*args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        request = args[0]
        preflight = isinstance(request, HttpRequest) and request.method == "OPTIONS"
        response = HttpResponse(status=204) if preflight else view(*args, **kwargs)
        for name, value in CORS.items():
            response[name] = value
        return response

    return answered


def _with_headers(response: HttpResponseBase) -> HttpResponseBase:
    """Keeps the link out of referrers, search engines and caches."""
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    # A view that sets its own header, such as a feed with an ETag, keeps it.
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@public
def watch(request: HttpRequest, session: Session) -> HttpResponse:
    """The watch page; ``?before=`` shows earlier stories, ``?thread=`` one thread.

    An open page gets ``?part=last`` when it goes off air, the broadcast that has just ended, and
    ``?part=waiting`` while nothing is on air, the reason for that.
    """
    replays = runs.listed(session, recorder.PUBLIC, 5)
    if request.GET.get("part") == "last":
        last = replay_queries.last_show(replays, session)
        return render(request, "public/_last.html", {"token": session.watch_token, "last": last})
    if request.GET.get("part") == "waiting":
        return render(request, "public/_waiting.html", {"pause": next_story.pause(session)})
    listed = queries.watch_page(session, queries.WatchPart.of(request.GET))
    on_air = listed["air"]["state"] == State.LIVE
    # Where a story without a label is one that an editor answers for, each other one has its own.
    each_has_its_own = session.ai_label == Session.AILabel.UNREVIEWED
    labels = [story["disclosure"] for story in listed["stories"]]
    page = {
        **listed,
        **_addresses(session),
        "usual": "" if each_has_its_own else disclosure.usual(labels),
        "home": session_commands.watch_url(session),
        "label": session.ai_label,
        "audio_stream": stream.available(),
        "episodes": episodes.of_session(session)[:5],
        "replays": replays,
        "pause": None if listed["onair"] else next_story.pause(session),
        "last": None if on_air else replay_queries.last_show(replays, session),
    }
    return render(request, "public/page.html", page)


@public
def overlay(request: HttpRequest, session: Session) -> HttpResponse:
    """The overlay for streaming software, with the options of the query."""
    look = parse_options(request.GET)
    page = {**queries.watch_page(session), **_addresses(session), "look": look}
    if shows_logo(look) and artifacts.logo(session):
        page["logo"] = reverse("overlay_logo", args=[session.watch_token])
    return render(request, "public/overlay.html", page)


@public
def embed(request: HttpRequest, session: Session) -> HttpResponseBase:
    """The player for a frame of another page, if the session allows it: the story on air."""
    if session.embedding != Session.Embedding.ANYWHERE:
        page = {"session": session, "why": "The player for other sites is switched off."}
        return render(request, "public/missing.html", page, status=404)

    def player(request: HttpRequest) -> HttpResponseBase:
        page = {**queries.watch_page(session), **_addresses(session)}
        return render(request, "public/embed.html", page)

    return xframe_options_exempt(csp_replace({"frame-ancestors": ["*"]})(player))(request)


def _addresses(session: Session) -> dict[str, object]:
    return {
        "token": session.watch_token,
        "ws_path": f"/ws/watch/{session.watch_token}/",
        "studio_speaks": bool(engines.engine().voices(session.language)),
    }


@public
def watch_replay(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """A finished run as the audience saw it; ``?thread=`` redirects to the thread's watch page."""
    if thread := queries.key_of(request.GET.get("thread", "")):
        return redirect(f"{reverse('watch', args=[session.watch_token])}?thread={thread}")
    recording = runs.find(session, run_number, recorder.PUBLIC)
    page = {
        **replay_queries.page(recording, recorder.PUBLIC, request.GET),
        **before_the_run(recording),
        "token": session.watch_token,
        "home": session_commands.watch_url(session),
        "label": session.ai_label,
        "ws_path": f"/ws/watch/{session.watch_token}/replay/{run_number}/",
    }
    return render(request, "public/replay.html", page)


def before_the_run(recording: Recording) -> dict[str, object]:
    """Returns the watch page as it was before the run, without the stories pulled since."""
    session = recording.session
    first = Airing.objects.filter(run=recording.run).order_by("pk").values("pk")[:1]
    earlier = Airing.objects.filter(
        session=session, pk__lt=first, story__state__in=sounds.PUBLISHED
    )
    earlier = earlier.prefetch_related(Prefetch("story", stories.of_session(session)))
    aired = [airing.story for airing in earlier.order_by("-pk")[: queries.FEED_MOST]]
    return {
        "session": {"name": session.name, "language": public_links.tag(session.language)},
        "feed": sounds.public_all(queries.with_airings(aired)),
        "audible": sounds.valid().filter(story__airings__run=recording.run).exists(),
    }


@shared
@public
def atom(request: HttpRequest, session: Session) -> HttpResponse:
    feed = feeds.of_session(session, session_commands.watch_url(session) or "")

    def write() -> HttpResponse:
        return HttpResponse(feeds.atom(feed), content_type="application/atom+xml")

    return cacheable(request, feed.tag, write)


@shared
@public
def json_feed(request: HttpRequest, session: Session) -> HttpResponse:
    feed = feeds.of_session(session, session_commands.watch_url(session) or "")

    def write() -> HttpResponse:
        return JsonResponse(feeds.json_feed(feed), content_type="application/feed+json")

    return cacheable(request, feed.tag, write)


def cacheable(request: HttpRequest, tag: str, write: Callable[[], HttpResponse]) -> HttpResponse:
    """Responds with 304 if the reader has the content with this ETag, else with ``write()``."""
    etag = f'"{tag}"'
    response: HttpResponse = get_conditional_response(request, etag=etag) or write()
    response["ETag"] = etag
    # Readers may store the feed but ask each time, as a link can be revoked.
    response["Cache-Control"] = "private, no-cache"
    return response


def cacheable_content(request: HttpRequest, content: bytes, content_type: str) -> HttpResponse:
    """Responds with the content, or with 304 if the reader has it; the ETag is its digest."""
    tag = hashlib.sha256(content).hexdigest()[:32]
    return cacheable(request, tag, lambda: HttpResponse(content, content_type=content_type))


@csrf_exempt
@require_POST
def errors(request: HttpRequest, token: str) -> HttpResponseBase:
    """Records an error of a public page; the response is empty and the page ignores it.

    There is no CSRF token, because it needs a cookie and public pages set none. The view uses no
    rights that a token could protect: it ignores cookies, and everyone with the link may report
    errors. Requests from pages of other sites are refused by the headers that browsers send.
    """
    # A broken page may report many errors; the access log does not need a line for each.
    request.META[QUIET] = "1"
    try:
        session = sessions.by_watch_token(token)
        # Without the session's folder: Django's warnings about a malformed body would fill its log.
        bind_request(request, session=session.pk)
        return _with_headers(HttpResponse(status=_store_report(request, session)))
    except (NotFound, TooMany) as error:
        return _with_headers(HttpResponse(status=status_of(error)))


def _store_report(request: HttpRequest, session: Session) -> int:
    """Stores the report and returns the status of the response. Raises TooMany."""
    if not is_same_origin(request):
        return 403
    # Checked before request.POST, which would read the whole body into memory.
    length = request.headers.get("Content-Length", "")
    if not (length.isdecimal() and int(length) <= LONGEST_REPORT):
        return 413
    browser_errors.count_from_audience(session)
    form = AudienceErrorForm(request.POST)
    if not form.is_valid():
        return 422
    browser_errors.report_from_audience(session, form.report(request.headers.get("User-Agent", "")))
    return 204


@dataclass(frozen=True, slots=True)
class Option:
    """A query parameter of the overlay; the first of ``values`` is the default.

    ``layouts`` are those that it changes, or empty for all.
    """

    name: str
    values: tuple[str, ...]
    meaning: str
    title: str
    layouts: tuple[str, ...] = ()

    @property
    def default(self) -> str:
        return self.values[0]


LAYOUTS = {
    "lower-third": "Lower third",
    "sidebar": "Sidebar",
    "ticker": "Ticker",
    "full": "Full screen",
    "clock": "Clock and bug",
    "vertical": "Vertical 9:16",
}
OPTIONS = (
    Option("layout", tuple(LAYOUTS), "What the overlay shows, and where.", "Theme"),
    Option("theme", ("dark", "light", "glass"), "Background of the text.", "Background"),
    Option(
        "accent",
        ("red", "blue", "green", "amber", "violet", "custom"),
        "Colour of the on-air mark.",
        "Accent",
    ),
    Option("color", ("d92438",), "Accent of your own, in hexadecimal.", "Accent of your own"),
    Option("font", ("headline", "text", "serif", "mono"), "Typeface of headlines.", "Typeface"),
    Option(
        "position",
        ("bottom", "top"),
        "Where it is.",
        "Position",
        ("lower-third", "ticker", "clock"),
    ),
    Option("size", ("m", "s", "l"), "Size of the text.", "Text size"),
    Option(
        "ticker",
        ("1", "0"),
        "Ticker of the latest headlines, on or off.",
        "Headlines",
        ("lower-third", "sidebar", "full"),
    ),
    Option(
        "captions",
        ("1", "0"),
        "Captions of the narration, on or off.",
        "Captions",
        ("lower-third", "sidebar", "full", "vertical"),
    ),
    Option(
        "logo",
        ("0", "1"),
        "Logo or name of the session, off or on.",
        "Logo",
        ("lower-third", "ticker"),
    ),
    Option("sound", ("0", "1"), "Sound of each story, if the audio extra is installed.", "Sound"),
    Option(
        "safe", ("1", "0"), "Keep inside the title-safe area of a television picture.", "Safe area"
    ),
)
_COLOR = re.compile(r"#?([0-9a-fA-F]{6})")


def parse_options(query: Mapping[str, str]) -> dict[str, str]:
    """Returns each option with its value in the query, or its default."""
    look = {
        option.name: query[option.name]
        if query.get(option.name) in option.values
        else option.default
        for option in OPTIONS
    }
    if color := _COLOR.fullmatch(query.get("color", "")):
        look["color"] = color[1].lower()
    # Text on the accent is black or white, whichever can be read (WCAG 2 luminance, roughly).
    red, green, blue = (int(look["color"][at : at + 2], 16) for at in (0, 2, 4))
    bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18 * 255**2.2
    look["ink"] = "dark" if bright and look["accent"] == "custom" else "light"
    return look


def overlay_query(look: Mapping[str, str]) -> str:
    """Returns the query of these options without defaults, so that the shortest address is copied."""
    changed = {
        option.name: look[option.name]
        for option in OPTIONS
        if look[option.name] != option.default
        and (not option.layouts or look["layout"] in option.layouts)
        and (option.name != "color" or look["accent"] == "custom")
    }
    return f"?{urlencode(changed)}" if changed else ""


def shows_logo(look: Mapping[str, str]) -> bool:
    """Whether the overlay shows the session's logo or name: most layouts always do."""
    return look["logo"] == "1" or look["layout"] not in ("lower-third", "ticker")


@public
def logo(request: HttpRequest, session: Session) -> HttpResponseBase:
    """The logo of the overlay."""
    row = artifacts.logo(session)
    if row is None:
        raise Http404("This session has no logo.")
    return storage.send(request, row.path, row.media_type, row.sha256)
