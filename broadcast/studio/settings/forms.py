"""Forms of the workspace settings."""

from __future__ import annotations

from django import forms

from sessions_app import workspace
from sessions_app.models import Workspace
from stories.sources import groups


class GroupForm(forms.Form):
    """A source group; the domain checks the lines."""

    name = forms.CharField(max_length=groups.LONGEST_NAME)
    description = forms.CharField(max_length=groups.LONGEST_DESCRIPTION, required=False)
    sources = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="One per line: r/science, r/science new, https://example.org/feed.xml, or demo.",
    )

    def payload(self) -> dict[str, str]:
        data = self.cleaned_data
        return {
            "name": data["name"],
            "description": data["description"],
            "lines": data["sources"],
        }


class WorkspaceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Some numbers of the workspace."""

    def payload(self) -> dict[str, int]:
        return dict(self.cleaned_data)


class RetentionForm(WorkspaceForm):
    """How long data is retained, and the quota of artifacts."""

    class Meta:
        model = Workspace
        # The domain names the fields, because it checks them again when it stores them.
        fields = workspace.RETENTION_FIELDS
        labels = {
            "keep_fine_days": "Fine figures, days",
            "keep_answers_days": "API answers, days",
            "keep_sounds_days": "Sounds of stories, days",
            "keep_transitions_days": "Transitions of AI chains, days",
            "keep_events_days": "Events of sessions, days",
            "artifact_quota_mb": "Artifacts of a session, MB",
        }
        help_texts = {
            "keep_fine_days": "Figures by 1 and 5 minutes. Those by 15 and 60 minutes stay.",
            "keep_answers_days": "During this time a repeated request gets its first answer.",
            "keep_sounds_days": "Sounds of single stories. Episodes stay.",
            "keep_transitions_days": "Older ones move to an archive; the API lists both.",
            "keep_events_days": "Older ones move to an archive; every page reads both.",
            "artifact_quota_mb": "10 to 1,000,000 MB. Files that exceed it are refused; "
            "existing files stay.",
        }


class ContextForm(WorkspaceForm):
    """When the context of models is summed up or reset, and when idle drafts expire."""

    class Meta:
        model = Workspace
        fields = workspace.CONTEXT_FIELDS
        labels = {
            "compact_tokens": "Compact after, tokens",
            "reset_operations": "Reset after, operations",
            "draft_idle_minutes": "Drafts expire after, minutes",
        }
        help_texts = {
            "compact_tokens": "500 to 100,000 tokens of context. A summary then replaces them.",
            "reset_operations": "10 to 100,000 operations of a session. Its context is then empty.",
            "draft_idle_minutes": "5 to 43,200 minutes without activity. Finished texts stay.",
        }
