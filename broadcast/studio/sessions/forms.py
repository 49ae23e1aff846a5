"""Forms of the Session Manager. ``payload()`` returns the data of the command a form leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from broadcast.speech import engines
from broadcast.transfer.formats import FORMATS
from sessions_app import money, preferences, sessions
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.money import dollars
from stories.llm import EXTRACTIVE
from stories.llm.credentials import has_model_key
from stories.sources import groups, opml, pasted
from stories.sources.registry import Line, opml_lines, pasted_lines
from stories.usage.pricing import offers

OTHER = "other"


class SourcesField(forms.CharField):
    """Sources in whatever form they are pasted; its value is a list of ``registry.Line``."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"})

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=200_000, help_text=pasted.ACCEPTED, **options)

    def clean(self, value: object) -> list[Line]:
        try:
            return pasted_lines(super().clean(value))
        except SmnbError as error:
            raise ValidationError(error.sentence) from None


class NewSessionForm(forms.Form):
    """A new session with its sources."""

    name = forms.CharField(max_length=120)
    type = forms.ChoiceField(
        required=False,
        choices=[(type_.value, type_.label) for type_ in sessions.CREATABLE_TYPES],
        initial=Session.Type.BROADCAST,
    )
    sources = SourcesField(required=False, initial="demo")
    groups = forms.MultipleChoiceField(
        required=False,
        label="Source groups",
        widget=forms.CheckboxSelectMultiple,
        help_text="All sources of a group are added.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Groups change while the process runs, so the choices are read for each form.
        field = cast("forms.MultipleChoiceField", self.fields["groups"])
        field.choices = [
            (group.name, f"{group.name}: {groups.named_sources(group)}") for group in groups.every()
        ]

    def clean_type(self) -> str:
        return self.cleaned_data["type"] or Session.Type.BROADCAST

    def clean_sources(self) -> list[dict[str, str]]:
        # Each bad line is reported with the form, before a session is created.
        if wrong := [line for line in self.cleaned_data["sources"] if not line.source]:
            raise ValidationError([f"{line.text[:80]}: {line.reason}" for line in wrong])
        return [line.source._asdict() for line in self.cleaned_data["sources"]]

    def payload(self) -> dict[str, object]:
        return dict(self.cleaned_data)


def model_choices(current: str) -> Iterator[tuple[str, str]]:
    """The models with their prices; ``current`` stays a choice when its price is unknown."""
    known = {offer.model for offer in offers()}
    # A session may use a model that has left the price list; saving must not change it.
    if current not in {*known, EXTRACTIVE}:
        yield current, f"{current} (its price is not known)"
    yield EXTRACTIVE, "Extractive: the posts' own words, asks no model, free"
    for offer in offers():
        prices = f"{dollars(offer.input, 2)} in, {dollars(offer.output, 2)} out"
        yield offer.model, f"{offer.name}: {prices} per million tokens"
    yield OTHER, "Another model…"


SPEECH = ("voice", "co_voice", "pronunciation")


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """The narration settings of a session."""

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
            "model",
            "personality",
            "verbosity",
            "pace",
            "language",
            "instructions",
            "control_mode",
            "ai_label",
            "breaking_rule",
            "voice",
            "co_voice",
            "pronunciation",
        )
        widgets = {
            "instructions": forms.Textarea(attrs={"rows": 3}),
            "voice": forms.Select(),
            "co_voice": forms.Select(),
            "pronunciation": forms.Textarea(
                attrs={"rows": 3, "spellcheck": "false", "placeholder": "Nguyen = win"}
            ),
        }
        help_texts = {
            "language": "The language of the narration: en, de, pt-BR …",
            "instructions": "For the model, e.g. “focus on breakthroughs, avoid markets”.",
            "voice": "Reads the stories; the list is for the saved language.",
            "co_voice": "Reads every other paragraph, or sentence.",
            "pronunciation": "How voices say a word, one per line: word = spoken form.",
        }

    field_order = (
        "model",
        "other_model",
        "personality",
        "verbosity",
        "pace",
        "language",
        "voice",
        "co_voice",
        "pronunciation",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast("forms.ChoiceField", self.fields["model"])
        field.choices = list(model_choices(self.instance.model))
        if not has_model_key(self.instance.owner):
            field.help_text = (
                "There is no Anthropic key, so stories are read in the posts' own words. Set a key "
                "under User Settings to have a model write them."
            )
        # Pages that were open before this setting existed do not send it.
        for name in ("ai_label", "breaking_rule"):
            self.fields[name].required = False
        self._choose_voices()

    def _choose_voices(self) -> None:
        """Sets the voices to choose from; without a speech engine there is nothing to choose."""
        if not engines.available():
            for name in SPEECH:
                del self.fields[name]
            return
        best = next(iter(engines.choices(self.instance.language, "")), ("", "none"))[1]
        empty = {"voice": f"Best for the language: {best}", "co_voice": "None: one presenter"}
        for name, none in empty.items():
            current = str(getattr(self.instance, name))
            voices = engines.choices(self.instance.language, current)
            widget = cast("forms.Select", self.fields[name].widget)
            widget.choices = [("", none), *voices]

    def clean_pace(self) -> int:
        pace = int(self.cleaned_data["pace"])
        if 0 < pace < 60:
            raise ValidationError("Enter 60 to 6000 words a minute, or 0 for no waiting on air.")
        return pace

    def clean_ai_label(self) -> str:
        return self.cleaned_data["ai_label"] or str(self.instance.ai_label)

    def clean_breaking_rule(self) -> str:
        return self.cleaned_data["breaking_rule"] or str(self.instance.breaking_rule)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for name in SPEECH:
            # Pages that were open before this setting existed do not send it.
            if name in self.fields and name not in self.data:
                data[name] = getattr(self.instance, name)
        # The list has an entry for models that are not on it; their name is typed.
        if data.get("model") == OTHER:
            # Without a name the stored model stays, so that only this field is wrong.
            data["model"] = data.get("other_model") or self.instance.model
            if not data.get("other_model"):
                self.add_error("other_model", "Name the model, or choose one from the list.")
        return data

    def payload(self) -> dict[str, object]:
        return {
            "settings": {
                name: self.cleaned_data[name]
                for name in self._meta.fields or ()
                if name in self.fields
            }
        }


class EmbeddingForm(forms.Form):
    """Whether pages of other sites may show the player."""

    embedding = forms.ChoiceField(
        choices=Session.Embedding.choices, label="Pages that may show the player"
    )

    def payload(self) -> dict[str, object]:
        return {"settings": self.cleaned_data}


class BudgetForm(forms.Form):
    """The budget of a session."""

    budget_usd = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        label=f"Budget in {money.CODE}",
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="You are warned at 80 %. Narration pauses when the budget is spent. "
        "Empty means no limit.",
    )

    def payload(self) -> dict[str, object]:
        return dict(self.cleaned_data)


class ExpiryForm(forms.Form):
    """The day on which a session expires; an unchanged day keeps the exact moment."""

    expires_on = forms.DateField(
        required=False,
        label="Archive automatically on",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="From 0:00 UTC of this day, once the session is off the air. Empty means never.",
    )

    def payload(self) -> dict[str, object]:
        day = self.cleaned_data["expires_on"]
        # The moment may have been set by the API with a time of day, which the form cannot show.
        at = datetime.combine(day, time.min, UTC) if day else None
        return {"expires_at": at} if self.has_changed() else {}


class SourceForm(forms.Form):
    """New sources of a session; the kind of each follows from its address."""

    locator = SourcesField(label="Source", error_messages={"required": "Paste a source first."})


class FeedsForm(forms.Form):
    """A file with the feeds of a feed reader."""

    file = forms.FileField(
        label="OPML file",
        allow_empty_file=False,
        widget=forms.FileInput(attrs={"accept": ".opml,.xml,text/x-opml,text/xml"}),
        help_text="The list of feeds that your feed reader exports, at most 1 MB.",
    )

    def clean_file(self) -> list[Line]:
        upload = self.cleaned_data["file"]
        try:
            # One byte more than is allowed shows that the file is too large.
            return opml_lines(upload.read(opml.LARGEST + 1))
        except SmnbError as error:
            raise ValidationError(error.sentence) from None


class DefaultsForm(forms.Form):
    """Narration settings of new sessions; an empty field takes the value of ``inherited``."""

    model = forms.ChoiceField(required=False)
    personality = forms.ChoiceField(required=False)
    verbosity = forms.ChoiceField(required=False)
    control_mode = forms.ChoiceField(required=False)
    ai_label = forms.ChoiceField(required=False, label="AI label")
    breaking_rule = forms.ChoiceField(required=False, label="Breaking news")
    embedding = forms.ChoiceField(required=False, label="Embedding")
    pace = forms.IntegerField(required=False, min_value=0, max_value=6000)
    language = forms.CharField(
        required=False, min_length=preferences.SHORTEST_LANGUAGE, max_length=35
    )
    instructions = forms.CharField(
        required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
    voice = forms.CharField(required=False, max_length=60)
    co_voice = forms.CharField(required=False, max_length=60, label="Second presenter")
    pronunciation = forms.CharField(
        required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, inherited: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        defaults = {**preferences.built_in(), **inherited}
        own_model = (kwargs.get("initial") or {}).get("model") or EXTRACTIVE
        # A default must be a model that the form can show again, so it offers no free text.
        models = [choice for choice in model_choices(own_model) if choice[0] != OTHER]
        for name, choices in (
            ("model", models),
            ("personality", Session.Personality.choices),
            ("verbosity", Session.Verbosity.choices),
            ("control_mode", Session.ControlMode.choices),
            ("ai_label", Session.AILabel.choices),
            ("breaking_rule", Session.BreakingRule.choices),
            ("embedding", Session.Embedding.choices),
        ):
            label = dict(choices).get(defaults[name], defaults[name])
            field = cast("forms.ChoiceField", self.fields[name])
            field.choices = [("", f"Default ({label})"), *choices]
        self.fields["pace"].help_text = f"Words a minute, 60 to 6000; empty: {defaults['pace']}."
        self.fields["voice"].help_text = "The name of a voice, as the page of a session lists them."
        self.fields["co_voice"].help_text = "A second voice; empty: one presenter."
        self.fields["pronunciation"].help_text = "One per line: word = spoken form."
        if not engines.available():
            for name in SPEECH:
                self.fields[name].widget = forms.HiddenInput()
        language, instructions = defaults["language"], defaults["instructions"]
        self.fields["language"].help_text = f"A tag such as en or pt-BR; empty: {language}."
        self.fields["instructions"].help_text = (
            f"Empty: “{instructions[:120]}”."
            if instructions
            else "E.g. “focus on breakthroughs, avoid markets”."
        )

    def payload(self) -> dict[str, object]:
        return dict(self.cleaned_data)


class ExportForm(forms.Form):
    """The format of an export; only captions can be limited to one run."""

    format = forms.ChoiceField(
        choices=[(format_.name, format_.label) for format_ in FORMATS.values()]
    )
    run = forms.IntegerField(
        required=False,
        min_value=1,
        label="Captions of run",
        help_text="Empty means all runs.",
    )

    def payload(self) -> dict[str, object]:
        data = self.cleaned_data
        # Other formats always contain the whole session.
        return {"format": data["format"], "run": data["run"] if data["format"] == "srt" else None}


class ForkForm(forms.Form):
    """The name of a fork, and whether it takes the threads along."""

    name = forms.CharField(required=False, max_length=120)
    threads = forms.BooleanField(required=False)

    def payload(self) -> dict[str, object]:
        return {"name": self.cleaned_data["name"] or None, "threads": self.cleaned_data["threads"]}


class ImportForm(forms.Form):
    """The archive of an exported session."""

    archive = forms.FileField(
        label="ZIP of an export",
        allow_empty_file=False,
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
        help_text="At most 50 MB. The import creates a new session, private and off the air.",
    )
    name = forms.CharField(
        required=False,
        max_length=120,
        label="Name of the new session",
        help_text="Empty: its name in the file, with the date of the import if you have that name already.",
    )
