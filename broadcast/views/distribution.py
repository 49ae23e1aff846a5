"""How stories are spread over all sessions of the workspace, for the staff."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import distribution
from sessions_app.errors import Forbidden
from sessions_app.http import SignedIn, signed_in


@require_safe
@signed_in
def spread(request: SignedIn) -> HttpResponse:
    try:
        found = distribution.for_staff(request.user)
    except Forbidden as error:
        return render(request, "settings/refused.html", {"sentence": error.sentence}, status=403)
    return render(request, "settings/stories.html", {"found": found})
