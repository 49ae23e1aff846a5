"""The views of the docs: a page is its template, filled with what the code says of itself."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from sessions_app.http import SignedIn, signed_in
from smnb.docs import facts
from smnb.docs.pages import PAGES, headings, neighbours, page_of


@require_safe
@signed_in
def contents(request: SignedIn) -> HttpResponse:
    return render(request, "docs/contents.html", {"pages": PAGES})


@require_safe
@signed_in
def page(request: SignedIn, slug: str) -> HttpResponse:
    found = page_of(slug)
    if found is None:
        raise Http404("There is no such page in the docs.")
    text = render_to_string(found.template, facts.of(slug), request)
    before, after = neighbours(found)
    context = {
        "pages": PAGES,
        "page": found,
        "text": text,
        "headings": headings(text),
        "before": before,
        "after": after,
    }
    return render(request, "docs/page.html", context)
