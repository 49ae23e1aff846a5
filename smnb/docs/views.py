"""Views of the docs: each page is a template with figures and tables read from the code."""

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
    page_ = page_of(slug)
    if page_ is None:
        raise Http404("The docs have no such page.")
    text = render_to_string(page_.template, facts.of(slug), request)
    before, after = neighbours(page_)
    context = {
        "pages": PAGES,
        "page": page_,
        "text": text,
        "headings": headings(text),
        "before": before,
        "after": after,
    }
    return render(request, "docs/page.html", context)
