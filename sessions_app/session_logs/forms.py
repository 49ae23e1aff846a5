"""Forms of the log: which lines are wanted, and what a browser tells of its errors."""

from __future__ import annotations

from typing import Any

from django import forms

from sessions_app.session_logs import redaction
from sessions_app.session_logs.browser_errors import KINDS
from sessions_app.session_logs.reader import ENVIRONMENTS, LEVELS, LogQuery

SEARCH = {"autocomplete": "off", "spellcheck": "false"}


class LogForm(forms.Form):
    """What of the log is looked for; everything may be left out."""

    environment = forms.ChoiceField(
        choices=[("", "All"), *((name, name.capitalize()) for name in ENVIRONMENTS)],
        required=False,
    )
    level = forms.ChoiceField(
        choices=[("", "All"), *((name, name.capitalize()) for name in LEVELS[2:])],
        required=False, label="Level, and worse",
    )  # fmt: skip
    request = forms.CharField(
        max_length=64, required=False, label="Request id", widget=forms.TextInput(attrs=SEARCH)
    )
    text = forms.CharField(
        max_length=200, required=False, label="Text or line id",
        widget=forms.TextInput(attrs={"type": "search", **SEARCH}),
    )  # fmt: skip
    before = forms.RegexField(r"^[0-9a-f]{20}$", required=False, widget=forms.HiddenInput)

    def wanted(self) -> LogQuery:
        """What is looked for; what cannot be meant is left out."""
        self.is_valid()
        return LogQuery(**self.cleaned_data)


class BrowserErrorForm(forms.Form):
    """One error as static/js/errors.js tells it; ``asked`` is the id of a request."""

    kind = forms.ChoiceField(choices=[(name, name) for name in KINDS])
    message = forms.CharField(max_length=500)
    source = forms.CharField(max_length=300, required=False)
    line = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    column = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    stack = forms.CharField(max_length=4000, required=False)
    page = forms.CharField(max_length=300, required=False)
    status = forms.IntegerField(min_value=0, max_value=999, required=False)
    asked = forms.RegexField(r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$", required=False)

    def report(self, agent: str) -> dict[str, Any]:
        return {**self.cleaned_data, "agent": agent[:300]}


class CutField(forms.CharField):
    """A stranger's text: as much as ``most``, printable, without addresses that open something."""

    def __init__(self, most: int, *, lines: bool = False, required: bool = False) -> None:
        super().__init__(required=required)
        self._most, self._kept = most, "\n" if lines else ""

    def to_python(self, value: Any) -> str:
        # No control characters: some terminals that show the log would obey them.
        text = redaction.redact(super().to_python(value) or "")
        plain = (each if each.isprintable() or each in self._kept else " " for each in text)
        return "".join(plain)[: self._most].strip()


class AudienceErrorForm(BrowserErrorForm):
    """The same from a page of the audience: what is too long is cut, not refused."""

    message = CutField(300, required=True)
    source = CutField(200)
    stack = CutField(2000, lines=True)
    page = CutField(200)

    def report(self, agent: str) -> dict[str, Any]:
        return super().report(CutField(200).clean(agent))
