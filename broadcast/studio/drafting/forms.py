"""Forms of the writers' room; they turn what people type into payloads of commands."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.drafting.commands import LONGEST_WISH, MOST_KEYWORDS, STANDARD_WORDS
from stories.models import Draft

FEWEST_WORDS, MOST_WORDS = 50, 3000
MOST_KEYWORD = 80  # characters
_LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"


class StartForm(forms.Form):
    """What is to be written: keywords ticked on the boards or typed, length, style, language.

    ``use`` are the ticked ones; their boxes stand on the boards, outside the form.
    """

    typed = forms.CharField(
        required=False, max_length=500, label="Keywords",
        help_text="With commas between them. Those you tick on the boards below are added.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    words = forms.IntegerField(
        min_value=FEWEST_WORDS,
        max_value=MOST_WORDS,
        initial=STANDARD_WORDS,
        label="Length in words",
    )
    style = forms.ChoiceField(choices=Draft.Style.choices, initial=Draft.Style.REPORT)
    language = forms.RegexField(
        _LANGUAGE, required=False, max_length=35,
        error_messages={"invalid": "Give a language tag such as en or pt-BR."},
        help_text="A tag such as en or pt-BR; empty: the session's.",
    )  # fmt: skip

    @property
    def used(self) -> list[str]:
        """The keywords that are ticked on the boards."""
        return [str(each) for each in self.data.getlist("use")] if self.is_bound else []  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        typed = re.split(r"[,;\n]", found.get("typed", ""))
        tidy = (" ".join(each.split()) for each in [*self.used, *typed])
        keywords = {each.casefold(): each for each in tidy if each}
        if not keywords:
            raise ValidationError("Tick a keyword on a board, or type one.")
        if len(keywords) > MOST_KEYWORDS:
            raise ValidationError(
                f"Choose at most {MOST_KEYWORDS} keywords; these are {len(keywords)}."
            )
        if long := next((each for each in keywords.values() if len(each) > MOST_KEYWORD), None):
            raise ValidationError(f"“{long[:40]}…” is too long for a keyword.")
        return {**found, "keywords": list(keywords.values())}

    def payload(self) -> dict[str, Any]:
        said = self.cleaned_data
        wanted = {name: said[name] for name in ("keywords", "words", "style")}
        return wanted | ({"language": said["language"]} if said["language"] else {})


class AdviceForm(forms.Form):
    """What the owner wants otherwise, said on the way."""

    text = forms.CharField(
        max_length=LONGEST_WISH, label="Say what you want otherwise",
        help_text="The next agent reads it before its turn.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip


class VersionForm(forms.Form):
    """A version by a person's hand; it knows the version that was read."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, label="Text", widget=forms.Textarea(attrs={"rows": 20})
    )
    reason = forms.CharField(max_length=300, label="What is new in it")
