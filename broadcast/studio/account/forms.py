"""Forms of the account and the workspace."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_texts

from sessions_app import api_tokens, credentials, workspace
from sessions_app.models import Preferences, Workspace

# What the parts of a key are called, and where people find them.
_PARTS = {
    "api_key": ("API key", "From the Anthropic console, under API keys. It begins with sk-ant-."),
    "client_id": ("Client id", "Of a “script” application in Reddit's app preferences."),
    "client_secret": ("Client secret", "Of the same application."),
}


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    username = forms.CharField(disabled=True, label="User name", help_text="You sign in with it.")

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
        return {name: self.cleaned_data[name] for name in ("first_name", "last_name", "email")}


class PasswordForm(PasswordChangeForm):
    """Django's, with the rules as plain text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        self.fields["new_password1"].help_text = " ".join(password_validators_help_texts())
        self.fields["new_password2"].help_text = ""


class KeyForm(forms.Form):
    """The parts of a key for one service; what was typed is never shown again."""

    def __init__(self, service: str, data: Any = None) -> None:
        super().__init__(data, auto_id=f"{service}_%s")
        self.service = service
        for name in credentials.PARTS[service]:
            label, help_text = _PARTS[name]
            widget = forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"})
            self.fields[name] = forms.CharField(
                max_length=300, label=label, help_text=help_text, widget=widget
            )


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=api_tokens.LONGEST_NAME,
        help_text="What it is for, e.g. “weekly report”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(
        choices=[("system", "As the system"), ("dark", "Dark"), ("light", "Light")],
        widget=forms.RadioSelect,
    )

    def __init__(self, chosen: Preferences) -> None:
        super().__init__(initial={"theme": chosen.theme}, auto_id="theme_%s")


class WorkspaceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Some numbers of the workspace."""

    def payload(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class RetentionForm(WorkspaceForm):
    class Meta:
        model = Workspace
        fields = workspace.RETENTION_FIELDS
        labels = {
            "keep_fine_days": "Fine figures, days",
            "keep_answers_days": "API answers, days",
            "keep_sounds_days": "Sounds of stories, days",
            "keep_transitions_days": "Steps of AI chains, days",
            "keep_events_days": "Events of sessions, days",
            "artifact_quota_mb": "Artifacts of a session, MB",
        }
        help_texts = {
            "keep_fine_days": "The 1- and 5-minute figures. Those of 15 and 60 minutes stay.",
            "keep_answers_days": "A repeated request gets its first answer for as long.",
            "keep_sounds_days": "Of single stories. Episodes stay.",
            "keep_transitions_days": "Older ones are packed into an archive; the API lists both.",
            "keep_events_days": "Older ones are packed into an archive; every page reads both.",
            "artifact_quota_mb": "10 to 1,000,000 MB. What would take more is refused; "
            "what is there stays.",
        }


class ContextForm(WorkspaceForm):
    class Meta:
        model = Workspace
        fields = workspace.CONTEXT_FIELDS
        labels = {
            "compact_tokens": "Sum up after, tokens",
            "reset_operations": "Start anew after, operations",
            "draft_idle_minutes": "Drafts expire after, minutes",
        }
        help_texts = {
            "compact_tokens": "500 to 100,000 tokens said. Models then get a summary of them.",
            "reset_operations": "10 to 100,000 operations of a session. Its context is then empty.",
            "draft_idle_minutes": "5 to 43,200 minutes without activity. Finished texts stay.",
        }
