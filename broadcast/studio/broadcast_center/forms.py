"""Forms of the Broadcast Center: stories of the editor's own, and corrections."""

from __future__ import annotations

from django import forms

from broadcast.editorial import MOST_TEXT, MOST_TITLE
from stories.models import Story


class BreakInForm(forms.Form):
    """A story in the editor's own words."""

    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, widget=forms.Textarea(attrs={"rows": 5}), label="Narration"
    )
    tone = forms.ChoiceField(choices=Story.Tone.choices, initial=Story.Tone.BREAKING)
    when = forms.ChoiceField(
        choices=[
            ("next", "next, after the story on air"),
            ("now", "now, ending the story on air"),
        ],
        initial="next",
        widget=forms.RadioSelect,
        label="When",
    )

    def payload(self) -> dict[str, object]:
        data = self.cleaned_data
        return {
            "title": data["title"],
            "text": data["text"],
            "tone": data["tone"],
            "now": data["when"] == "now",
        }


class CorrectionForm(forms.Form):
    """A new version of a story; ``version`` is the one that the editor has read."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, label="Text", widget=forms.Textarea(attrs={"rows": 9})
    )
    reason = forms.CharField(
        max_length=300,
        label="Correction",
        help_text="What was wrong. The audience reads it below a published story.",
    )
