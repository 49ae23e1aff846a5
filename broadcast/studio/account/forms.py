"""Forms of User Settings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_texts

from sessions_app import api_tokens, credentials
from sessions_app.errors import SmnbError
from sessions_app.models import Preferences
from stories.sources import ssrf

# Label and help text of each part of a key.
KEY_PARTS = {
    "api_key": ("API key", "From the Anthropic console, under API keys. It begins with sk-ant-."),
    "client_id": ("Client id", "Of a “script” application in Reddit's app preferences."),
    "client_secret": ("Client secret", "Of the same application."),
    "url": (
        "Address",
        "Begins with https://. What needs you is posted there as JSON, as Docs describe.",
    ),
}


PROFILE = ("first_name", "last_name", "email", "byline")


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """The names and e-mail address of a user."""

    username = forms.CharField(
        disabled=True, label="User name", help_text="Your name for signing in."
    )

    byline = forms.CharField(
        required=False,
        max_length=80,
        label="Public name",
        help_text="Shown to the audience with stories you approve or write. Empty: “an editor”.",
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email")
        widgets = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "last_name": forms.TextInput(attrs={"autocomplete": "family-name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }
        labels = {"email": "E-mail"}

    def payload(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in PROFILE}


class PasswordForm(PasswordChangeForm):
    """Django's form with the password rules as plain text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The page has several forms, and the focus would scroll past the first ones.
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        self.fields["new_password1"].help_text = " ".join(password_validators_help_texts())
        self.fields["new_password2"].help_text = ""


class KeyForm(forms.Form):
    """The parts of a key for one service; typed values are never shown again."""

    def __init__(self, service: str, data: Any = None) -> None:
        # The page has a form for each service, and ids must differ.
        super().__init__(data, auto_id=f"{service}_%s")
        self.service = service
        for name in credentials.PARTS[service]:
            label, help_text = KEY_PARTS[name]
            # A password field, so that neither a form with errors nor the browser's history shows
            # the value.
            widget = forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"})
            self.fields[name] = forms.CharField(
                max_length=300, label=label, help_text=help_text, widget=widget
            )

    def clean_url(self) -> str:
        """Refuses an address that no message may go to, whatever it resolves to."""
        url = str(self.cleaned_data["url"]).strip()
        private = settings.SMNB.allow_private_feeds
        try:
            target = ssrf.target_of(url, any_port=private)
        except SmnbError as error:
            raise forms.ValidationError(error.sentence) from None
        if target.scheme != "https" and not private:
            raise forms.ValidationError("The address must begin with https://.")
        return url


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        max_length=api_tokens.LONGEST_NAME,
        help_text="What it is for, e.g. “weekly report”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ThemeForm(forms.Form):
    """The theme of the pages."""

    theme = forms.ChoiceField(
        choices=[("system", "System"), ("dark", "Dark"), ("light", "Light")],
        widget=forms.RadioSelect,
    )

    def __init__(self, preferences: Preferences) -> None:
        super().__init__(initial={"theme": preferences.theme}, auto_id="theme_%s")
