"""Forms for what goes out as a file and comes in from one."""

from __future__ import annotations

from typing import Any

from django import forms

from broadcast.transfer.formats.registry import FORMATS


class ExportForm(forms.Form):
    format = forms.ChoiceField(choices=[(each.name, each.label) for each in FORMATS.values()])
    run = forms.IntegerField(
        required=False, min_value=1, label="Captions of run", help_text="Left empty: of all runs.",
    )  # fmt: skip

    def payload(self) -> dict[str, Any]:
        """A run is for captions alone; with another format it is not asked for."""
        said = self.cleaned_data
        return {"format": said["format"], "run": said["run"] if said["format"] == "srt" else None}


class ForkForm(forms.Form):
    name = forms.CharField(required=False, max_length=120)
    threads = forms.BooleanField(required=False)

    def payload(self) -> dict[str, Any]:
        return {"name": self.cleaned_data["name"] or None, "threads": self.cleaned_data["threads"]}


class ImportForm(forms.Form):
    archive = forms.FileField(
        label="ZIP of an export", allow_empty_file=False,
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
        help_text="At most 50 MB. It becomes a new session of yours, private and off the air.",
    )  # fmt: skip
