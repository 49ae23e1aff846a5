"""Forms of the Session Manager; they turn what people type into payloads of commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from broadcast.schedule import calendar
from broadcast.studio.sessions.queries import ALL, Filter
from sessions_app import preferences, sessions
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.money import dollars
from stories.llm import EXTRACTIVE
from stories.models import Source
from stories.sources import groups, service
from stories.sources.registry import adapter
from stories.usage.pricing import Offer, offers

OTHER = "other"
_DAY_CHOICES = list(zip(calendar.DAYS, calendar.DAY_NAMES, strict=True))


class FilterForm(forms.Form):
    """What the list shows; what is not understood is left out."""

    q = forms.CharField(
        required=False, max_length=120, label="Name",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "any", "autocomplete": "off"}),
    )  # fmt: skip
    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "not archived"),
            ("active", "active"),
            ("archived", "archived"),
            (ALL, "all"),
        ],
    )
    type = forms.ChoiceField(required=False, choices=[("", "any"), *Session.Type.choices])
    air = forms.ChoiceField(
        required=False, label="On air", choices=[("", "any"), ("on", "on air"), ("off", "off air")]
    )

    def wanted(self, before: str) -> Filter:
        self.is_valid()
        said = self.cleaned_data
        return Filter(
            said.get("q", ""), said.get("status", ""), said.get("type", ""), said.get("air", ""),
            before,
        )  # fmt: skip


class NewSessionForm(forms.Form):
    name = forms.CharField(max_length=120)
    type = forms.ChoiceField(
        required=False,
        choices=[(type_.value, type_.label) for type_ in sessions.MADE],
        initial=Session.Type.BROADCAST,
    )
    sources = forms.CharField(
        required=False,
        initial="demo",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="One per line: r/science, https://example.org/feed.xml, or demo.",
    )
    groups = forms.MultipleChoiceField(
        required=False,
        label="Ready-made groups",
        widget=forms.CheckboxSelectMultiple,
        help_text="All sources of a group are added.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = ((each.name, groups.named_sources(each)) for each in groups.every())
        field = cast("forms.MultipleChoiceField", self.fields["groups"])
        field.choices = [(name, f"{name}: {sources}") for name, sources in named]

    def clean_type(self) -> str:
        return self.cleaned_data["type"] or Session.Type.BROADCAST

    def clean_sources(self) -> list[dict[str, Any]]:
        specs = []
        for line in self.cleaned_data["sources"].splitlines():
            if line.strip():
                spec = service.spec_of(line)
                try:
                    adapter(spec.kind).clean_locator(spec.locator)
                except SmnbError as error:
                    raise ValidationError(f"{line.strip()[:80]}: {error.sentence}") from None
                specs.append(spec.model_dump())
        return specs

    def payload(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


def model_choices(present: str) -> Iterator[tuple[str, str]]:
    """The models on sale with their prices; one that is in use stays a choice."""
    known = {offer.model for offer in offers()}
    if present not in {*known, EXTRACTIVE}:
        yield present, f"{present} (its price is not known)"
    yield EXTRACTIVE, "Extractive: the posts' own words, asks no model, free"
    yield from ((offer.model, _priced(offer)) for offer in offers())
    yield OTHER, "Another model…"


def _priced(offer: Offer) -> str:
    cost = " in, ".join(dollars(price, 2) for price in (offer.input, offer.output))
    return f"{offer.name}: {cost} out per million tokens"


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    model = forms.ChoiceField()
    other_model = forms.CharField(
        required=False,
        max_length=80,
        label="Name of the other model",
        help_text="As Anthropic's API names it.",
    )

    class Meta:
        model = Session
        fields = (
            "model", "personality", "verbosity", "pace", "language", "instructions", "control_mode",
        )  # fmt: skip
        widgets = {"instructions": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "language": "The one the host speaks: en, de, pt-BR …",
            "instructions": "For the model, e.g. “focus on breakthroughs, avoid markets”.",
        }

    field_order = ("model", "other_model")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ChoiceField", self.fields["model"])
        field.choices = list(model_choices(self.instance.model))

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("model") == OTHER:
            said["model"] = said.get("other_model", "")
            if not said["model"]:
                self.add_error("other_model", "Name the model, or choose one from the list.")
        return said

    def payload(self) -> dict[str, Any]:
        return {"settings": {name: self.cleaned_data[name] for name in self._meta.fields or ()}}


class BudgetForm(forms.Form):
    budget_usd = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        label="Budget in USD",
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="You are warned at 80 %; narration waits when all is spent. Empty = no limit.",
    )


class ExpiryForm(forms.Form):
    """The day on which a session expires; one that was not changed keeps its moment."""

    expires_on = forms.DateField(
        required=False,
        label="Archive by itself on",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="From 0:00 UTC of this day on, once it is off the air. Empty = never.",
    )

    def payload(self) -> dict[str, Any]:
        day = self.cleaned_data["expires_on"]
        at = datetime.combine(day, time.min, UTC) if day else None
        return {"expires_at": at} if self.has_changed() else {}


class SourceForm(forms.Form):
    locator = forms.CharField(
        max_length=2000, required=False, label="Address", help_text="r/NAME, a feed, or demo."
    )
    kind = forms.ChoiceField(choices=Source.Kind)
    sort = forms.ChoiceField(
        required=False,
        choices=[("", "as usual"), ("hot", "hot"), ("new", "new"), ("top", "top"),
                 ("rising", "rising")],
        help_text="Reddit only.",
    )  # fmt: skip


def _clock() -> forms.TimeInput:
    return forms.TimeInput(attrs={"type": "time"}, format="%H:%M")


class SlotForm(forms.Form):
    days = forms.MultipleChoiceField(choices=_DAY_CHOICES, widget=forms.CheckboxSelectMultiple)
    on_at = forms.TimeField(label="On air at", widget=_clock())
    off_at = forms.TimeField(
        label="Off air at", widget=_clock(), help_text="Before or at the first time: the next day."
    )
    zone = forms.CharField(
        max_length=60,
        label="Time zone",
        initial="UTC",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
        help_text="Such as Europe/Berlin. Its changes of clocks are followed.",
    )
    enabled = forms.BooleanField(required=False, initial=True, label="Switched on")

    def clean_zone(self) -> str:
        name = str(self.cleaned_data["zone"])
        if name not in calendar.zones():
            raise ValidationError("There is no time zone of this name.")
        return name


class DefaultsForm(forms.Form):
    """Narration settings of new sessions; what stays empty is as ``inherited`` says."""

    model = forms.ChoiceField(required=False)
    personality = forms.ChoiceField(required=False)
    verbosity = forms.ChoiceField(required=False)
    control_mode = forms.ChoiceField(required=False)
    pace = forms.IntegerField(required=False, min_value=0, max_value=6000)
    language = forms.CharField(
        required=False, min_length=preferences.SHORTEST_LANGUAGE, max_length=35
    )
    instructions = forms.CharField(
        required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, inherited: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usual = {**preferences.built_in(), **inherited}
        own_model = (kwargs.get("initial") or {}).get("model") or EXTRACTIVE
        choices = {
            "model": [each for each in model_choices(own_model) if each[0] != OTHER],
            "personality": Session.Personality.choices,
            "verbosity": Session.Verbosity.choices,
            "control_mode": Session.ControlMode.choices,
        }
        for name, offered in choices.items():
            label = dict(offered).get(usual[name], usual[name])
            self.fields[name].choices = [("", f"Default ({label})"), *offered]  # type: ignore[attr-defined]
        self.fields["pace"].help_text = f"Words a minute, 60 to 6000; empty: {usual['pace']}."
        language = usual["language"]
        self.fields["language"].help_text = f"A tag such as en or pt-BR; empty: {language}."
        said = usual["instructions"]
        self.fields["instructions"].help_text = (
            f"Empty: “{said[:120]}”." if said else "E.g. “focus on breakthroughs, avoid markets”."
        )

    def payload(self) -> dict[str, Any]:
        return dict(self.cleaned_data)
