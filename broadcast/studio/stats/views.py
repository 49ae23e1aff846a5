"""Live Stats."""

from __future__ import annotations

from typing import Any

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
    """The page, or for htmx the part that follows the broadcast."""
    size = statistics.size_of(request.GET.get("size", ""))
    page: dict[str, Any] = {"session": session, "size": size, "sizes": statistics.SIZES}
    if session is not None:
        found = statistics.read(session, size)
        page |= {
            "found": found,
            "air": orchestrator.payload(found.run),
            "charts": charts.all_of(found),
            "stages": stages.stages(session, found),
        }
    if request.htmx and session is not None:
        return render(request, "studio/stats/_figures.html", page)
    page["sessions"] = queries.switcher(Session.objects.for_user(request.user))
    return render(request, "studio/stats/page.html", page)
