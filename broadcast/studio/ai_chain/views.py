"""The page of a session's AI chain, and its recovery."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from broadcast import queries as broadcast_queries
from broadcast.studio.ai_chain import queries
from sessions_app import commands
from sessions_app.ai_chain.chain import RECOVER
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, refused


@require_safe
@of_session
def chain(request: SignedIn, session: Session) -> HttpResponse:
    """The chain; ``?before=`` (a number) shows older links, ``?find=`` an id or a number."""
    named = request.GET.get("find", "")[:200]
    part = queries.Part(broadcast_queries.key_of(request.GET.get("before", "")), named)
    page = {**queries.page(session, part), "here": request.get_full_path()}
    template = "studio/ai_chain/_chain.html" if request.htmx else "studio/ai_chain/chain.html"
    return render(request, template, page)


@require_POST
@of_session
def recover(request: SignedIn, session: Session) -> HttpResponse:
    """Repairs a chain that is out of sync."""
    try:
        commands.run(RECOVER, request.user, session, {})
    except SmnbError as error:
        return refused(request, error, "chain", session.pk)
    return redirect("chain", session.pk)
