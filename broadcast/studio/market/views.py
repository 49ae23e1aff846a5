"""Insight Market: keywords and sources of a session with their scores, and the posts behind them."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import market, orchestrator, queries
from sessions_app.events.statistics import SIZES
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_chosen, of_session
from stories.drafting import boards
from stories.market import quotes, trends


@require_safe
@of_chosen
def overview(request: SignedIn, session: Session | None) -> HttpResponse:
    """The market; for htmx only the part that the page refreshes during a broadcast."""
    page: dict[str, object] = {"session": session}
    if session is not None:
        page |= market.page(session, market.Selection.of(request.GET))
    if request.htmx and session is not None:
        return render(request, "studio/market/_market.html", page)
    return render(request, "studio/market/market.html", page)


@require_safe
@of_session
def trend(request: SignedIn, session: Session, trend_id: int) -> HttpResponse:
    """One source or keyword: the parts of its score, its buckets, and its posts."""
    # Off air the market is that of its latest reading, so that its figures can be compared.
    now = market.moment(orchestrator.latest(session))
    reading, row = quotes.read_trend(session, trend_id, market.size_of(request.GET), now)
    [quote] = reading.quotes
    before = queries.key_of(request.GET.get("before", ""))
    page = {
        "session": session,
        "trend": row,
        "row": market.row(quote),
        "shares": market.shares(quote),
        "size": reading.size,
        "sizes": SIZES,
        "chart": market.chart(row, reading),
        "posts": trends.read_page(row, before),
        "board": boards.board_of(session, row.label),
        "boards": boards.Board.choices,
    }
    return render(request, "studio/market/market_trend.html", page)
