"""Forms over what is read and written."""

from __future__ import annotations

from typing import Any

from django import forms

from sessions_app.models import Session
from stories.models import Source, SourcePost, Story
from stories.search.query import FILTERS, Query, What, terms_of
from stories.sources import groups

ANY = [("", "any")]
DATE = forms.DateInput(attrs={"type": "date"})


class SearchForm(forms.Form):
    """What to look for in one session; every field may stay empty."""

    q = forms.CharField(required=False, max_length=200, label="Words",
                        widget=forms.TextInput(attrs={"type": "search"}))  # fmt: skip
    what = forms.ChoiceField(
        required=False, label="In", choices=[("stories", "stories"), ("posts", "posts")]
    )
    state = forms.ChoiceField(required=False)
    tone = forms.ChoiceField(required=False, choices=[*ANY, *Story.Tone.choices])
    priority = forms.ChoiceField(required=False, choices=[*ANY, *Story.Priority.choices])
    source = forms.ModelChoiceField(Source.objects.none(), required=False, empty_label="any")
    bookmarked = forms.BooleanField(required=False, label="Bookmarked only")
    since = forms.DateField(required=False, label="From", widget=DATE)
    until = forms.DateField(required=False, label="To", widget=DATE)

    def __init__(self, session: Session, data: Any) -> None:
        super().__init__(data)
        self.searched: What = "posts" if data.get("what") == "posts" else "stories"
        choices = SourcePost.State.choices if self.searched == "posts" else Story.State.choices
        fields: dict[str, Any] = self.fields
        fields["state"].choices = [*ANY, *choices]
        fields["source"].queryset = Source.objects.filter(session=session)
        if self.searched == "posts":
            for name in ("tone", "bookmarked"):
                del self.fields[name]

    def query(self) -> Query:
        """What the valid form asks for."""
        data = self.cleaned_data
        chosen = {name: str(data.get(name) or "") for name in FILTERS[self.searched]}
        if data.get("source"):
            chosen["source"] = str(data["source"].pk)
        chosen["bookmarked"] = "1" if data.get("bookmarked") else ""
        return Query(self.searched, terms_of(data["q"]), chosen, data["since"], data["until"])


class GroupForm(forms.Form):
    """A group of sources; the domain checks the lines."""

    name = forms.CharField(max_length=groups.LONGEST_NAME)
    description = forms.CharField(max_length=groups.LONGEST_DESCRIPTION, required=False)
    sources = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="One a line: r/science, r/science new, https://example.org/feed.xml, or demo.",
    )

    def payload(self) -> dict[str, str]:
        said = self.cleaned_data
        return {
            "name": said["name"], "description": said["description"], "lines": said["sources"],
        }  # fmt: skip
