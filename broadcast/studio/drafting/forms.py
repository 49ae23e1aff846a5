"""Forms of Keyword Drafting. ``payload()`` returns the data of the command a form leads to."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.drafting.commands import LONGEST_WISH, MOST_KEYWORDS, STANDARD_WORDS
from stories.models import Draft
from stories.models.drafts import FEWEST_WORDS, MOST_WORDS

MOST_KEYWORD = 80  # characters
LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"


class StartForm(forms.Form):
    """A new draft: keywords, length, style and language.

    Keywords are typed here or ticked on the boards; the ticked ones come as ``use``, from check
    boxes outside this form.
    """

    typed = forms.CharField(
        required=False,
        max_length=500,
        label="Keywords",
        help_text="Separated by commas. Keywords you tick on the boards are added.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    words = forms.IntegerField(
        min_value=FEWEST_WORDS,
        max_value=MOST_WORDS,
        initial=STANDARD_WORDS,
        label="Length in words",
    )
    style = forms.ChoiceField(choices=Draft.Style.choices, initial=Draft.Style.REPORT)
    language = forms.RegexField(
        LANGUAGE,
        required=False,
        max_length=35,
        error_messages={"invalid": "Enter a language tag such as en or pt-BR."},
        help_text="A tag such as en or pt-BR; empty: the session's.",
    )

    @property
    def used(self) -> list[str]:
        """The keywords that are ticked on the boards."""
        if not self.is_bound:
            return []
        return [str(text) for text in self.data.getlist("use")]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        # People separate keywords in different ways, also by lines that they paste.
        typed = re.split(r"[,;\n]", data.get("typed", ""))
        texts = (" ".join(text.split()) for text in [*self.used, *typed])
        # The last spelling counts, so that a keyword is not ordered twice.
        keywords = {text.casefold(): text for text in texts if text}
        if not keywords:
            raise ValidationError("Tick a keyword on a board, or type one.")
        if len(keywords) > MOST_KEYWORDS:
            raise ValidationError(
                f"Choose at most {MOST_KEYWORDS} keywords; these are {len(keywords)}."
            )
        if long := next((text for text in keywords.values() if len(text) > MOST_KEYWORD), None):
            raise ValidationError(f"“{long[:40]}…” is too long for a keyword.")
        return {**data, "keywords": list(keywords.values())}

    def payload(self) -> dict[str, object]:
        data = self.cleaned_data
        payload = {name: data[name] for name in ("keywords", "words", "style")}
        # Without a language the draft takes the session's.
        return payload | ({"language": data["language"]} if data["language"] else {})


class AdviceForm(forms.Form):
    """Advice from the owner while the agents work."""

    text = forms.CharField(
        max_length=LONGEST_WISH,
        label="Your advice",
        help_text="The next agent reads it before its turn.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class VersionForm(forms.Form):
    """A version written by hand; ``version`` is the one that the author has read."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, label="Text", widget=forms.Textarea(attrs={"rows": 20})
    )
    reason = forms.CharField(max_length=300, label="What you changed")
