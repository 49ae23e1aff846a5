"""Fill buckets and tallies from what a database of the first release holds.

Session by session: a minute's rows are summed first, then the longer buckets from the minutes. What
a session has already is replaced, so the same rows are never counted twice.
"""

from collections import defaultdict
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.db import migrations

CHUNK = 2000
OPEN = ("reserved", "started")


def credit(locator):
    """How a source is named in the tallies."""
    if "://" not in locator:
        return locator
    return (urlsplit(locator).hostname or "").removeprefix("www.")


def start_of(at, size):
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % (size * 60), UTC)


class Sums(defaultdict):
    """Columns to be summed, by key."""

    def __init__(self):
        super().__init__(lambda: defaultdict(int))

    def add(self, key, columns):
        row = self[key]
        for name, amount in columns.items():
            row[name] += amount


def add_stories(apps, session, minutes, tallies):
    rows = apps.get_model("stories", "Story").objects.filter(session_id=session).order_by("pk")
    names = ("created_at", "word_count", "origin", "state", "tone", "priority")
    found = rows.values_list(*names, "post__source__locator").iterator(CHUNK)
    for at, words, origin, state, tone, priority, locator in found:
        aired = int(state in {"airing", "aired"} and origin != "legacy")
        minutes.add(start_of(at, 1), {"story_count": 1, "words": words, "aired": aired})
        for key in kinds(tone, priority, locator, origin):
            tallies.add(key, {"count": 1, "words": words})


def kinds(tone, priority, locator, origin):
    source = credit(locator) if locator is not None else origin
    return (("tone", tone), ("priority", priority), ("source", source[:200]))


def add_usage(apps, session, minutes, tallies):
    rows = apps.get_model("stories", "TokenUsage").objects.filter(session_id=session)
    closed = rows.exclude(state__in=OPEN).select_related("story__post__source").order_by("pk")
    for row in closed.iterator(CHUNK):
        spent = {
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "cost_lower": row.cost_lower,
            "cost_upper": row.cost_upper,
            "bounded": int(row.state != "final"),
        }
        minutes.add(start_of(row.closed_at or row.created_at, 1), {**spent, **timing(row)})
        tallies.add(("model", row.model), {"count": 1, **spent})
        tallies.add(("operation", row.operation), {"count": 1, **spent})
        if (story := row.story) is not None:
            locator = story.post.source.locator if story.post else None
            for key in kinds(story.tone, story.priority, locator, story.origin):
                tallies.add(key, spent)


def timing(row):
    return {
        "calls": 1,
        "failed": int(bool(row.error)),
        "cache_read_tokens": row.cache_read_tokens,
        "cache_write_tokens": row.cache_write_5m_tokens + row.cache_write_1h_tokens,
        "call_ms": row.duration_ms or 0,
        "timed": int(row.duration_ms is not None),
        "first_token_ms": row.first_token_ms or 0,
        "first_tokens": int(row.first_token_ms is not None),
    }


def add_moments(model, column, session, minutes):
    moments = model.objects.filter(session_id=session).order_by("pk")
    for at in moments.values_list("created_at", flat=True).iterator(CHUNK):
        minutes.add(start_of(at, 1), {column: 1})


def write(apps, session, minutes, tallies):
    bucket, tally = (apps.get_model("sessions_app", name) for name in ("Bucket", "Tally"))
    for model in (bucket, tally):
        model.objects.filter(session_id=session).delete()
    for size in (1, 5, 15, 60):
        longer = Sums()
        for start, columns in minutes.items():
            longer.add(start_of(start, size), columns)
        rows = (
            bucket(session_id=session, size=size, start=start, **columns)
            for start, columns in longer.items()
        )
        create(bucket, rows)
    create(
        tally,
        (
            tally(session_id=session, dimension=dimension, key=key, **columns)
            for (dimension, key), columns in tallies.items()
        ),
    )


def create(model, rows):
    model.objects.bulk_create(rows, batch_size=CHUNK)


def fill(apps, schema_editor):
    sessions = apps.get_model("sessions_app", "Session").objects.order_by("pk")
    for session in list(sessions.values_list("pk", flat=True)):
        minutes, tallies = Sums(), Sums()
        add_stories(apps, session, minutes, tallies)
        add_usage(apps, session, minutes, tallies)
        add_moments(apps.get_model("stories", "SourcePost"), "feed", session, minutes)
        add_moments(apps.get_model("sessions_app", "Message"), "messages", session, minutes)
        write(apps, session, minutes, tallies)


def empty(apps, schema_editor):
    for name in ("Bucket", "Tally"):
        apps.get_model("sessions_app", name).objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("stories", "0003_source_groups"),
        ("sessions_app", "0002_preferences_and_series"),
    ]
    operations = [migrations.RunPython(fill, empty)]
