"""Forms of the log: the filter of its page, and reports of errors in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from sessions_app.session_logs import redaction
from sessions_app.session_logs.browser_errors import KINDS
from sessions_app.session_logs.reader import ENVIRONMENTS, LEVELS, LogQuery

MARGIN = 500
SEARCH = {"autocomplete": "off", "spellcheck": "false"}


class LogForm(forms.Form):
    """The filter of the log's page; every field is optional."""

    environment = forms.ChoiceField(
        choices=[("", "All"), *((name, name.capitalize()) for name in ENVIRONMENTS)],
        required=False,
    )
    level = forms.ChoiceField(
        label="Lowest level",
        choices=[("", "All"), *((name, name.capitalize()) for name in LEVELS[2:])],
        required=False,
    )
    request = forms.CharField(
        label="Request id", max_length=64, required=False, widget=forms.TextInput(attrs=SEARCH)
    )
    text = forms.CharField(
        label="Text or line id",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", **SEARCH}),
    )
    before = forms.RegexField(r"^[0-9a-f]{20}$", required=False, widget=forms.HiddenInput)

    def wanted(self) -> LogQuery:
        """Returns the filter; invalid fields are left out."""
        # The address of a page can be edited by hand; a wrong filter shows all lines, not an error.
        self.is_valid()
        return LogQuery(**self.cleaned_data)


class BrowserErrorForm(forms.Form):
    """One error as static/js/errors.js reports it; ``asked`` is the id of the failed request."""

    kind = forms.ChoiceField(choices=[(name, name) for name in KINDS])
    message = forms.CharField(max_length=500)
    source = forms.CharField(max_length=300, required=False)
    line = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    column = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    stack = forms.CharField(max_length=4000, required=False)
    page = forms.CharField(max_length=300, required=False)
    status = forms.IntegerField(min_value=0, max_value=999, required=False)
    asked = forms.RegexField(r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$", required=False)

    def report(self, agent: str) -> Mapping[str, object]:
        """Returns the fields of the report, with the browser's User-Agent."""
        return {**self.cleaned_data, "agent": agent[:300]}


class CutField(forms.CharField):
    """Untrusted text: cut to a length, printable, and redacted."""

    def __init__(self, limit: int, *, lines: bool = False, required: bool = False) -> None:
        super().__init__(required=required)
        self._limit, self._allowed = limit, "\n" if lines else ""

    def to_python(self, value: Any) -> str:
        # Cut before it is redacted, as anyone may send it; with a margin, so that a secret at the end
        # is still recognized.
        text = redaction.redact((super().to_python(value) or "")[: self._limit + MARGIN])
        # Some terminals that show the log would obey control characters.
        plain = (char if char.isprintable() or char in self._allowed else " " for char in text)
        return "".join(plain)[: self._limit].strip()


class AudienceErrorForm(BrowserErrorForm):
    """A report from a public page; text that is too long is cut instead of refused."""

    message = CutField(300, required=True)
    source = CutField(200)
    stack = CutField(2000, lines=True)
    page = CutField(200)

    def report(self, agent: str) -> Mapping[str, object]:
        return super().report(CutField(200).clean(agent))
