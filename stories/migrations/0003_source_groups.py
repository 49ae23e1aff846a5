"""The ready-made groups of sources; people change them in Settings."""

from django.db import migrations

GROUPS = (
    ("News Pulse", "What the world talks about now.", ["r/news", "r/worldnews", "r/UpliftingNews"]),
    (
        "Global Watch",
        "Countries, conflicts, diplomacy.",
        ["r/worldnews", "r/geopolitics", "r/europe"],
    ),
    (
        "Tech Radar",
        "Technology, programming, research labs.",
        ["r/technology", "r/programming", "r/gadgets"],
    ),
    ("Sports Desk", "Results and transfers.", ["r/sports", "r/soccer", "r/formula1"]),
    ("Gaming Queue", "Releases and studios.", ["r/gaming", "r/Games", "r/pcgaming"]),
    ("Humor Loop", "The lighter side.", ["r/nottheonion", "r/funny"]),
    ("Curiosity Lab", "Science and how things work.", ["r/science", "r/space", "r/askscience"]),
    (
        "Social Signals",
        "What people ask and tell each other.",
        ["r/OutOfTheLoop", "r/TrueReddit", "r/dataisbeautiful"],
    ),
)


def add_groups(apps, schema_editor):
    group = apps.get_model("stories", "SourceGroup")
    for position, (name, description, subreddits) in enumerate(GROUPS):
        sources = [{"kind": "reddit", "locator": each, "sort": "hot"} for each in subreddits]
        group.objects.get_or_create(
            name=name,
            defaults={"description": description, "sources": sources, "position": position},
        )


def remove_groups(apps, schema_editor):
    names = [name for name, *_ in GROUPS]
    apps.get_model("stories", "SourceGroup").objects.filter(name__in=names).delete()


class Migration(migrations.Migration):
    dependencies = [("stories", "0002_desk_threads_market")]
    operations = [migrations.RunPython(add_groups, remove_groups)]
