"""Live Stats: the figures and charts of a session."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import orchestrator, queries, statistics
from broadcast.health import stages
from broadcast.studio.stats import charts
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_chosen


@require_safe
@of_chosen
def stats(request: SignedIn, session: Session | None) -> HttpResponse:
    """The page; for htmx only the figures, which the page refreshes during a broadcast."""
    size = statistics.size_of(request.GET.get("size", ""))
    page: dict[str, object] = {"session": session, "size": size, "sizes": statistics.SIZES}
    if session is not None:
        figures = statistics.read(session, size)
        page |= {
            "statistics": figures,
            "air": orchestrator.payload(figures.run),
            "charts": charts.all_charts(figures),
            "stages": stages.stages(session, figures),
        }
    # The refreshed part leaves out the switcher, whose query lists all sessions.
    if request.htmx and session is not None:
        return render(request, "studio/stats/_figures.html", page)
    page["sessions"] = queries.switcher(Session.objects.for_user(request.user))
    return render(request, "studio/stats/page.html", page)
