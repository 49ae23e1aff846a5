"""Live Stats."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import orchestrator, pages, pipeline, plots, statistics
from sessions_app.http import SignedIn, of_chosen
from sessions_app.models import Session


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
            "charts": plots.all_of(found),
            "stages": pipeline.stages(session, found),
        }
    if request.htmx and session is not None:
        return render(request, "broadcast/stats/_figures.html", page)
    page["sessions"] = pages.switcher(Session.objects.for_user(request.user))
    return render(request, "broadcast/stats/page.html", page)
