"""Forms of the Session Manager; they turn what people type into payloads of commands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from sessions_app.errors import SmnbError
from sessions_app.lifecycle import PICO
from sessions_app.models import Session
from stories import reading
from stories.models import Source
from stories.sources.catalog import adapter


class NewSessionForm(forms.Form):
    name = forms.CharField(max_length=120)
    sources = forms.CharField(
        required=False,
        initial="demo",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="One per line: r/science, https://example.org/feed.xml, or demo.",
    )

    def clean_sources(self) -> list[dict[str, Any]]:
        specs = []
        for line in self.cleaned_data["sources"].splitlines():
            if line.strip():
                spec = reading.spec_of(line)
                try:
                    adapter(spec.kind).clean_locator(spec.locator)
                except SmnbError as error:
                    raise ValidationError(f"{line.strip()[:80]}: {error.sentence}") from None
                specs.append(spec.model_dump())
        return specs

    def payload(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    budget_usd = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        label="Budget in USD",
        help_text="Narration waits when it is spent. Empty = no limit.",
    )

    class Meta:
        model = Session
        fields = (
            "model", "personality", "verbosity", "pace", "language", "instructions", "control_mode",
        )  # fmt: skip
        widgets = {"instructions": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "model": "The Anthropic model; “extractive” never asks one.",
            "instructions": "For the model, e.g. “focus on breakthroughs, avoid markets”.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.budget is not None:
            self.fields["budget_usd"].initial = Decimal(self.instance.budget) / PICO

    def payload(self) -> dict[str, Any]:
        data = {name: self.cleaned_data[name] for name in self._meta.fields or ()}
        return {"settings": data, "budget_usd": self.cleaned_data["budget_usd"]}


class SourceForm(forms.Form):
    kind = forms.ChoiceField(choices=Source.Kind)
    locator = forms.CharField(
        max_length=2000, required=False, label="Address", help_text="r/NAME, a feed, or demo."
    )
    sort = forms.ChoiceField(
        required=False,
        choices=[("", "as usual"), ("hot", "hot"), ("new", "new"), ("top", "top"),
                 ("rising", "rising")],
        help_text="Reddit only.",
    )  # fmt: skip
