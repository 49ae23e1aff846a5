"""Forms that export, fork and import sessions."""

from __future__ import annotations

from django import forms

from broadcast.transfer.formats.registry import FORMATS


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
