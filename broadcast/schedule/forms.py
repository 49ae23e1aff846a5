"""The form of a slot of the schedule."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from broadcast.schedule.calendar import DAY_NAMES, zones
from broadcast.schedule.calendar import DAYS as DAY_KEYS

DAYS = list(zip(DAY_KEYS, DAY_NAMES, strict=True))


class SlotForm(forms.Form):
    """A slot of the schedule."""

    days = forms.MultipleChoiceField(choices=DAYS, widget=forms.CheckboxSelectMultiple)
    on_at = forms.TimeField(
        label="On air at", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    off_at = forms.TimeField(
        label="Off air at",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="A time before or equal to the first one means the next day.",
    )
    zone = forms.CharField(
        max_length=60,
        label="Time zone",
        initial="UTC",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
        help_text="For example Europe/Berlin. Daylight saving time is followed.",
    )
    enabled = forms.BooleanField(required=False, initial=True, label="Enabled")

    def clean_zone(self) -> str:
        name = str(self.cleaned_data["zone"])
        if name not in zones():
            raise ValidationError("There is no time zone of this name.")
        return name
