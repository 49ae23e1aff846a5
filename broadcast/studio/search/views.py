"""Search over the stories and posts of one session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qs, urlencode, urlsplit

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import orchestrator
from broadcast.queries import key_of
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session
from stories.models import Source, SourcePost, Story
from stories.search import query
from stories.search.query import FILTERS, Query, What, terms_of
from stories.templatetags.stories import post_word

ANY = [("", "any")]


class SearchForm(forms.Form):
    """A search in one session; all fields are optional."""

    q = forms.CharField(
        required=False,
        max_length=200,
        label="Words",
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    what = forms.ChoiceField(
        required=False, label="In", choices=[("stories", "stories"), ("posts", "posts")]
    )
    state = forms.ChoiceField(required=False)
    tone = forms.ChoiceField(required=False, choices=[*ANY, *Story.Tone.choices])
    priority = forms.ChoiceField(required=False, choices=[*ANY, *Story.Priority.choices])
    source = forms.ModelChoiceField(Source.objects.none(), required=False, empty_label="any")
    bookmarked = forms.BooleanField(required=False, label="Bookmarked only")
    since = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        required=False, label="To", widget=forms.DateInput(attrs={"type": "date"})
    )

    def __init__(self, session: Session, data: Mapping[str, str]) -> None:
        super().__init__(data)
        # Read before validation, because the choices of other fields depend on it.
        self.searched: What = "posts" if data.get("what") == "posts" else "stories"
        choices = list(Story.State.choices)
        if self.searched == "posts":
            states = SourcePost.State.values
            choices = [(state, post_word(state).capitalize()) for state in states]
        state = cast("forms.ChoiceField", self.fields["state"])
        state.choices = [*ANY, *choices]
        source = cast("forms.ModelChoiceField[Source]", self.fields["source"])
        # Only this session's sources, so that the id of another one is refused.
        source.queryset = Source.objects.filter(session=session)
        if self.searched == "posts":
            # Posts have neither a tone nor a bookmark.
            del self.fields["tone"], self.fields["bookmarked"]

    def query(self) -> Query:
        """The search of the valid form."""
        data = self.cleaned_data
        filters = {name: str(data.get(name) or "") for name in FILTERS[self.searched]}
        if data.get("source"):
            filters["source"] = str(data["source"].pk)
        filters["bookmarked"] = "1" if data.get("bookmarked") else ""
        return Query(self.searched, terms_of(data["q"]), filters, data["since"], data["until"])


@require_safe
@of_session
def results(request: SignedIn, session: Session) -> HttpResponse:
    """The form and one page of results; for htmx only the results."""
    form = SearchForm(session, request.GET)
    page, status = query.Page([], None), 422
    if form.is_valid():
        before = key_of(request.GET.get("before", ""))
        page, status = query.page(session, form.query(), before), 200
    searched = {name: value for name, value in request.GET.items() if value and name != "before"}
    older = ""
    if page.next is not None:
        older = f"{request.path}?{urlencode(searched | {'before': page.next})}"
    context = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "form": form,
        "what": form.searched,
        "results": page,
        "asked": bool(searched.keys() - {"what"}),
        "older": older,
    }
    # For htmx only the results, unless the form on the page has the fields of the other kind.
    shown = parse_qs(urlsplit(request.htmx.current_url or "").query).get("what", ["stories"])[0]
    other_fields = request.htmx.current_url and (shown == "posts") != (form.searched == "posts")
    partial = request.htmx and not other_fields
    template = "studio/search/_results.html" if partial else "studio/search/page.html"
    # The page puts a 422 for htmx into its line for refusals (see shell.html), so here it is 200.
    return render(request, template, context, status=200 if request.htmx else status)
