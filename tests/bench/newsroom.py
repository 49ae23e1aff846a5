"""Fills a studio's database, as long broadcasts leave it; run through ``manage.py shell``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.db.models import Max
from django.utils import timezone

from sessions_app.events import statistics
from sessions_app.models import (
    AILink,
    AITransition,
    Bucket,
    Chain,
    Session,
    SessionStats,
    Tally,
)
from stories.models import Source, SourcePost, Story, StoryThread, Trend, TrendBucket
from stories.search import index

LOT = 5000
POSTS = 300  # of each session; the stories before have lost theirs
WORDS = [
    "tide",
    "ferry",
    "harbour",
    "bridge",
    "storm",
    "council",
    "tram",
    "comet",
    "turbine",
    "library",
    "bees",
    "walker",
    "market",
    "crane",
    "signal",
    "island",
    "winter",
    "lantern",
    "cannery",
    "observatory",
]

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]
VOCABULARY = [
    *(one + two for one in SYLLABLES[:50] for two in SYLLABLES),
    *WORDS,
]
FREQUENCIES = list(accumulate(1 / rank for rank in range(1, len(VOCABULARY) + 1)))


def fill(sessions: int, stories: int, largest: int) -> None:
    """Make ``sessions``, the first with ``largest`` stories; print its id and that of another."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = OFF")
    owner = User.objects.get()
    made = Session.objects.bulk_create(
        [Session(owner=owner, name=f"Evening {at}", pace=0) for at in range(sessions)]
    )
    SessionStats.objects.bulk_create([SessionStats(session=session) for session in made])
    usual = (stories - largest) // (sessions - 1)
    # Built once at the end, the index takes a fraction of the time.
    index.drop_before_migrate([None], using="default")
    for number, session in enumerate(made):
        with transaction.atomic():
            Newsroom(session).fill(usual if number else largest)
    index.restore("default")
    print(made[0].pk, made[1].pk)


class Newsroom:
    """What one session holds; the same session name gives the same headlines."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.dice = random.Random(session.name)
        self.now = timezone.now()

    def headline(self) -> str:
        """Seven words, as unevenly frequent as words are (Zipf's law)."""
        return " ".join(self.dice.choices(VOCABULARY, cum_weights=FREQUENCIES, k=7)).capitalize()

    def fill(self, stories: int) -> None:
        source = Source.objects.create(
            session=self.session,
            kind="rss",
            locator="https://example.org/feed",
            locator_digest="x",
        )
        threads = StoryThread.objects.bulk_create(
            StoryThread(session=self.session, title=self.headline(), story_count=3)
            for _ in range(50)
        )
        in_lots(Story, (self.story(None, threads) for _ in range(stories - POSTS)))
        posts = self.posts(source, range(POSTS))
        in_lots(Story, (self.story(post, threads) for post in posts))
        self.figures(stories)
        self.market()
        self.chain(stories // 20)

    def posts(self, source: Source, numbers: range) -> list[SourcePost]:
        return SourcePost.objects.bulk_create(
            SourcePost(
                session=self.session,
                source=source,
                external_id=str(number),
                title=self.headline(),
                body=self.headline(),
                state="told",
                priority=0.4,
                label="medium",
                parts={"engagement": 0.2, "recency": 0.5, "quality": 0.6},
            )
            for number in numbers
        )

    def story(self, post: SourcePost | None, threads: Sequence[StoryThread]) -> Story:
        title = post.title if post else self.headline()
        return Story(
            session=self.session,
            post=post,
            origin="extractive" if post else "legacy",
            state="aired",
            title=title,
            duration=8,
            narrative=f"{title}. {self.headline()}. {self.headline()}.",
            tone=self.dice.choice(Story.Tone.values),
            priority="medium",
            word_count=20,
            completed_at=self.now,
            thread=self.dice.choice(threads),
            relation="follow-up",
            topics=self.dice.choices(WORDS, k=3),
        )

    def chain(self, links: int) -> None:
        first = (AILink.objects.aggregate(last=Max("pk"))["last"] or 0) + 1
        rows = [
            AILink(
                pk=first + at,
                session=self.session,
                number=at + 1,
                source="narration",
                tokens=90,
                previous_id=first + at - 1 if at else None,
                model="extractive",
                context_head_id=first + at - 1 if at else None,
                provider_id=f"offline-{first + at}",
            )
            for at in range(links)
        ]
        in_lots(AILink, iter(rows))
        in_lots(
            AITransition,
            (
                AITransition(
                    session=self.session, old_id=row.previous_id, new=row, source=row.source
                )
                for row in rows
            ),
        )
        Chain.objects.create(
            session=self.session, head=rows[-1], tokens=90 * links, operations=links
        )

    def figures(self, stories: int) -> None:
        in_lots(
            Tally,
            (
                Tally(session=self.session, dimension="tone", key=tone, count=stories // 5)
                for tone in Story.Tone.values
            ),
        )
        in_lots(
            Bucket,
            (
                Bucket(session=self.session, size=size, start=start, story_count=5, feed=9)
                for size in statistics.SIZES
                for start in self.starts(size, 60)
            ),
        )
        SessionStats.objects.filter(session=self.session).update(
            story_count=stories,
            words=20 * stories,
            narration_seconds=8 * stories,
            feed=stories,
            last_story_at=self.now,
        )

    def starts(self, size: int, number: int) -> list[datetime]:
        newest = statistics.start_of(self.now, size)
        return [newest - timedelta(minutes=size * at) for at in range(number)]

    def market(self) -> None:
        trends = Trend.objects.bulk_create(
            Trend(
                session=self.session,
                kind="keyword",
                key=f"{word} {at}",
                label=f"{word} {at}",
                posts=self.dice.randint(1, 90),
                engagement=self.dice.randint(0, 9000),
                first_at=self.now,
                last_at=self.now,
            )
            for word in WORDS
            for at in range(10)
        )
        in_lots(
            TrendBucket,
            (
                TrendBucket(session=self.session, trend=trend, size=size, start=start, posts=2)
                for trend in trends
                for size in statistics.SIZES
                for start in self.starts(size, 6)
            ),
        )


def in_lots(model: type[models.Model], rows: Iterator[Any]) -> None:
    model._default_manager.bulk_create(rows, batch_size=LOT)
