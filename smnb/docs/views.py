"""Views of the docs; each page is a template with figures and tables read from the code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from sessions_app.web.http import SignedIn, signed_in
from smnb.docs import content

# The templates are our own, so a regular expression is enough to find their headings.
_HEADING = re.compile(r'<h([23]) id="([a-z0-9-]+)">(.*?)</h\1>')

_TAG = re.compile(r"<[^<>]+>")


@dataclass(frozen=True, slots=True)
class DocsPage:
    """A page at ``/docs/<slug>/``; its text is the template ``docs/<slug>.html``."""

    slug: str
    title: str
    summary: str

    @property
    def template(self) -> str:
        return f"docs/{self.slug}.html"


PAGES = (
    DocsPage("getting-started", "Getting started", "From the first start to the first story."),
    DocsPage("sources-and-keys", "Sources and keys", "Reddit, feeds, the recording and your keys."),
    DocsPage("going-live", "Going live", "On and off air, control modes, holds and errors."),
    DocsPage("desk", "The desk", "The rundown, corrections, threads and search."),
    DocsPage(
        "writers-room", "The writers' room", "Drafts by several agents, from keywords to air."
    ),
    DocsPage("statistics-explained", "Statistics explained", "What each figure counts."),
    DocsPage(
        "ai-chain", "The AI chain", "What models receive, in which order, and how it is checked."
    ),
    DocsPage("memory", "Memory and recaps", "What models remember, summaries, resets and recaps."),
    DocsPage("api", "API", "Tokens, endpoints, commands, sockets and events."),
    DocsPage("operations", "Operations", "Variables, commands, audits, backups and upgrades."),
    DocsPage(
        "artifacts", "Artifacts", "Files of a session: recordings, screenshots, logs and exports."
    ),
    DocsPage("transfer", "Export and import", "Export, import, clone and fork a session."),
    DocsPage(
        "obs", "Stream to OBS in five minutes", "The overlay as a browser source, with six themes."
    ),
    DocsPage("audience", "The audience", "Watch page, voice, overlay, feeds and podcast."),
)


def page_of(slug: str) -> DocsPage | None:
    """Returns the page with this slug, or None."""
    return next((page for page in PAGES if page.slug == slug), None)


def neighbours(page: DocsPage) -> tuple[DocsPage | None, DocsPage | None]:
    """Returns the previous and the next page; None at either end."""
    at = PAGES.index(page)
    return (
        PAGES[at - 1] if at else None,
        PAGES[at + 1] if at + 1 < len(PAGES) else None,
    )


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading with its anchor; ``level`` is 2 or 3."""

    level: int
    anchor: str
    text: str


def headings(html: str) -> list[Heading]:
    """Returns the headings of a page, each ``<h2 id="…">`` or ``<h3 id="…">`` around a link to itself."""
    return [
        Heading(int(level), anchor, unescape(_TAG.sub("", text)))
        for level, anchor, text in _HEADING.findall(html)
    ]


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
    # Rendered on its own first, as the list of headings is made from the finished text.
    text = render_to_string(page_.template, content.of(slug), request)
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
