"""The names of the kinds of source, and what people can enter as a source."""

from __future__ import annotations

from django.db import models


class Kind(models.TextChoices):
    """A kind of source; ``registry`` has the adapter of each."""

    REDDIT = "reddit", "Reddit"
    RSS = "rss", "RSS or Atom feed"
    RECORDING = "recording", "Recording (invented posts)"


EXAMPLES = "r/science, https://example.org/feed.xml, or demo"
ACCEPTED = "r/NAME, a feed, a site, a channel or profile, or demo."
DESCRIPTION = (
    "r/NAME, the URL of a feed or of a page that announces one, or demo for the recording, as people "
    "paste it."
)
