"""Forms of the editor's desk."""

from __future__ import annotations

from typing import Any

from django import forms

from broadcast.editorial import MOST_TEXT, MOST_TITLE
from stories.models import Story

TEXT = forms.Textarea(attrs={"rows": 5})


class BreakInForm(forms.Form):
    """A story in a person's own words."""

    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(max_length=MOST_TEXT, widget=TEXT, label="What is said on air")
    tone = forms.ChoiceField(choices=Story.Tone.choices, initial=Story.Tone.BREAKING)
    when = forms.ChoiceField(
        choices=[("next", "next, after what is on air"), ("now", "now, ending what is on air")],
        initial="next", widget=forms.RadioSelect, label="When",
    )  # fmt: skip

    def payload(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {
            "title": said["title"],
            "text": said["text"],
            "tone": said["tone"],
            "now": said["when"] == "now",
        }


class CorrectionForm(forms.Form):
    """A new version of a story, and what it puts right; it knows the version that was read."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, label="Text", widget=forms.Textarea(attrs={"rows": 9})
    )
    reason = forms.CharField(
        max_length=300, label="What is put right",
        help_text="The audience reads it beside a story that was told.",
    )  # fmt: skip
