"""Insight Market: sources and keywords of a session, and the posts behind each number."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import market, orchestrator, queries
from sessions_app.errors import NotFound
from sessions_app.events.statistics import SIZES
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_chosen, of_session
from stories.drafting import boards
from stories.market import posts, quotes


@require_safe
@of_chosen
def overview(request: SignedIn, session: Session | None) -> HttpResponse:
    """The page, or for htmx the part that follows the broadcast."""
    asked = market.wanted(request.GET)
    page: dict[str, Any] = {"session": session}
    if session is not None:
        page |= market.page(session, asked)
    if request.htmx and session is not None:
        return render(request, "studio/market/_market.html", page)
    page["sessions"] = queries.switcher(Session.objects.for_user(request.user))
    return render(request, "studio/market/market.html", page)


@require_safe
@of_session
def trend(request: SignedIn, session: Session, trend_id: int) -> HttpResponse:
    """One source or keyword: its score by parts, its buckets, and the posts behind them."""
    now = market.moment(orchestrator.latest(session))
    try:
        found, quoted = quotes.read_trend(session, trend_id, market.size_of(request.GET), now)
    except NotFound as error:
        raise Http404(error.sentence) from None
    before = request.GET.get("before", "")
    page = {
        "session": session,
        "trend": quoted,
        "row": market.row(found.quotes[0]),
        "shares": market.shares(found.quotes[0]),
        "size": found.size,
        "sizes": SIZES,
        "chart": market.chart(quoted, found),
        "posts": posts.read_page(quoted, queries.key_of(before)),
        "board": boards.board_of(session, quoted.label),
        "boards": boards.Board.choices,
    }
    return render(request, "studio/market/market_trend.html", page)
