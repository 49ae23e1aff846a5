"""Audits of runs and airings."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import (
    CharField,
    DurationField,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    Window,
)
from django.db.models.functions import Concat, Lag, Now

from broadcast import airing, editorial, orchestrator, recaps, rundown
from broadcast.models import (
    Airing,
    Broadcast,
    Episode,
    Recap,
    Recorded,
    Slot,
    Sound,
    StateChange,
    Transfer,
)
from broadcast.schedule import slots
from broadcast.speech.sounds import SUFFIXES
from broadcast.states import Cause, State, follow
from broadcast.transfer import transfers
from sessions_app import audits
from sessions_app.ai_chain import chain
from sessions_app.audits import BATCH, NEAR, Record
from sessions_app.background import steps
from sessions_app.files import verification
from sessions_app.files.storage import ROOT
from sessions_app.models import (
    AILink,
    AITransition,
    ApiToken,
    Archive,
    Artifact,
    Message,
    Session,
    SessionEvent,
)
from stories import stories
from stories.audits import HEX, in_session, out_of_time
from stories.models import Source, SourcePost, Story, StoryVersion, TokenUsage
from stories.types import Support


def states() -> Iterator[tuple[object, str]]:
    """The state of every run is what its changes lead to, each allowed by the table."""
    changes: dict[int, list[StateChange]] = defaultdict(list)
    for change in StateChange.objects.order_by("run_id", "epoch"):
        changes[change.run_id].append(change)
    for run in Broadcast.objects.all():
        if problem := replay(run, changes[run.pk]):
            yield run.session_id, f"run {run.number}: {problem}"


def replay(run: Broadcast, changes: list[StateChange]) -> str:
    """Applies the changes of a run to idle; returns what is wrong, or an empty string."""
    state = State.IDLE
    for number, change in enumerate(changes, start=1):
        after = follow(state, Cause(change.cause))
        if change.from_state != state or change.to_state != after or change.epoch != number:
            return f"change {number} ({change.cause}) does not follow from {state}"
        state = after
    if run.epoch != len(changes):
        return f"it has changed {len(changes)} times, not {run.epoch}"
    return "" if run.state == state else f"it is {run.state}, but its changes lead to {state}"


def airings() -> Iterator[tuple[object, str]]:
    """Every airing story has one unfinished airing, and no other story has one."""
    open_ = set(Airing.objects.filter(finished_at=None).values_list("story_id", flat=True))
    now_airing = dict(
        Story.objects.filter(state=Story.State.AIRING).values_list("pk", "session_id")
    )
    for story_id in now_airing.keys() - open_:
        yield now_airing[story_id], f"story {story_id} is airing without an airing"
    for story in Story.objects.filter(pk__in=open_ - now_airing.keys()):
        yield story.session_id, f"story {story.pk} is {story.state}, but its airing is open"
    # The previous system did not say when a story was on air.
    aired = Story.objects.filter(state=Story.State.AIRED).exclude(origin=Story.Origin.LEGACY)
    # Nor does a copy have the airings of its original.
    aired = aired.filter(completed_at__gte=F("session__created_at"))
    for story in aired.filter(airings=None):
        yield story.session_id, f"story {story.pk} is aired, but has no airing"
    never = (Story.State.WRITTEN, Story.State.APPROVED, Story.State.VETOED)
    for story in Story.objects.filter(airings__isnull=False, state__in=never).distinct():
        yield story.session_id, f"story {story.pk} is {story.state}, but has been on air"
    now = steps.now() + timedelta(hours=1)
    times = Q(finished_at__lt=F("aired_at")) | Q(finished_at__gt=now) | Q(aired_at__gt=now)
    for row in Airing.objects.filter(times):
        yield row.session_id, f"airing {row.pk} ends before it begins, or is not over yet"


def runs() -> Iterator[tuple[object, str]]:
    """The times of a run are in order and near its changes, and each change has its event."""
    near = timedelta(minutes=5)  # two clocks: that of the database and that of the process
    opened = StateChange.objects.filter(run=OuterRef("pk"), cause=Cause.OPENED).order_by("-epoch")
    rows = Broadcast.objects.annotate(
        opened=Subquery(opened.values("created_at")[:1]),
        first=Min("changes__created_at"),
        latest=Max("changes__created_at"),
    )
    for run in rows.iterator(BATCH):
        at, ended = steps.now(), run.stopped_at
        times = [run.started_at, run.live_at, ended if run.state == State.IDLE else None, at]
        there = [moment for moment in times if moment]
        pairs = [(run.started_at, run.first), (run.live_at, run.opened), (run.since, run.latest)]
        pairs.append((run.created_at, run.first))
        far = [pair for pair in pairs if pair[0] and pair[1] and abs(pair[0] - pair[1]) > near]
        if there != sorted(there) or far or (run.opened and not run.live_at):
            yield run.session_id, f"run {run.number} has times that its changes do not have"
        if run.first and not (run.started_at and (ended or run.state != State.IDLE)):
            yield run.session_id, f"run {run.number} does not say when it began or ended"
        if ended and (run.stopped_at or at) > at + near:
            yield run.session_id, f"run {run.number} ends in the future"
    event = SessionEvent.objects.filter(session=OuterRef("session"), seq=OuterRef("seq"))
    changes = StateChange.objects.annotate(payload=Subquery(event.values("payload")[:1]))
    held = Archive.objects.filter(
        session=OuterRef("session"),
        kind=Archive.Kind.EVENTS,
        first__lte=OuterRef("seq"),
        last__gte=OuterRef("seq"),
    )
    for change in changes.filter(~Exists(held), payload__isnull=True).iterator(BATCH):
        yield change.session_id, f"change {change.pk} has no event"
    for change in changes.filter(payload__isnull=False).iterator(BATCH):
        payload = change.payload
        if (payload.get("from"), payload.get("cause")) != (change.from_state, change.cause):
            yield change.session_id, f"change {change.pk} is not what its event says"


def recorded_files() -> Iterator[tuple[object, str]]:
    """Every finished sound and episode has its file with its size and sha256."""
    for model in (Sound, Episode):
        ready = model._default_manager.filter(state=Recorded.State.READY)
        for row in ready.order_by("pk").iterator(BATCH):
            if problem := verification.problem_of_file(row.path, row.bytes, row.sha256):
                yield row.session_id, f"{model._meta.verbose_name} {row.pk} {problem}"
    for sound in Sound.objects.filter(state=Recorded.State.READY).iterator(BATCH):
        moments = [0.0, *(moment for sentence in sound.times for moment in sentence)]
        if moments != sorted(moments) or moments[-1] > sound.seconds + 0.5:
            yield sound.session_id, f"sound {sound.pk} has sentences at other times"
    yield from contradictions_of_files()
    wrong = Recap.objects.exclude(link=None).exclude(link__run_number=F("run__number"))
    for recap in wrong.iterator(BATCH):
        yield recap.session_id, f"recap {recap.pk} has the link of another run"


EPISODE_CONTENTS = "0005_episode_contents"


def contradictions_of_files() -> Iterator[tuple[object, str]]:
    """Yields recordings, artifacts and archives whose columns contradict each other."""
    without = (Recorded.State.FAILED, Recorded.State.DROPPED)
    for model in (Sound, Episode):
        ready = Q(state=Recorded.State.READY)
        wrong = ready & (Q(path="") | ~Q(media_type__in=SUFFIXES))
        wrong |= Q(state__in=without) & ~Q(path="")
        wrong |= ~Q(media_type="") & ~Q(media_type__in=SUFFIXES)
        for row in model._default_manager.filter(wrong).iterator(BATCH):
            yield row.session_id, f"{model._meta.verbose_name} {row.pk} has no such file"
    for sound in Sound.objects.filter(version__gt=F("story__version")).iterator(BATCH):
        yield sound.session_id, f"sound {sound.pk} is of a version that there is not"
    # One of an earlier version has no contents; a worker of that version may have run for a while.
    known = MigrationRecorder.Migration.objects.filter(app="broadcast", name=EPISODE_CONTENTS)
    since = known.annotate(since=F("applied") + Value(NEAR, DurationField())).values("since")
    emptied = Episode.objects.filter(state=Recorded.State.READY, contents=[])
    own = Q(session__made_from=None, session__imported_id="")
    for episode in emptied.filter(own, created_at__gt=Subquery(since[:1])):
        yield episode.session_id, f"episode {episode.pk} has lost its contents"
    for episode in Episode.objects.select_related("run").iterator(BATCH):
        end = max((part["at"] + part["seconds"] for part in episode.contents), default=None)
        if end is not None and episode.state == Recorded.State.READY:
            near = abs(end - episode.seconds) < 0.3
            title = rf".*, \d+ \w+ \d{{4}} \(broadcast {episode.run.number}\)"
            if not near or not re.fullmatch(title, episode.title):
                yield episode.session_id, f"episode {episode.pk} has another length or title"
    # An import gives files other names.
    artifacts = Artifact.objects.filter(own).exclude(session__folder="")
    paths = Concat(
        Value(f"{ROOT}/"),
        "session__folder",
        Value("/"),
        "category",
        Value("/"),
        "name",
        output_field=CharField(),
    )
    elsewhere = artifacts.exclude(path=paths).exclude(path__in=Episode.objects.values("path"))
    for artifact in elsewhere.exclude(Q(state=Artifact.State.DROPPED) & ~Q(path="")):
        yield artifact.session_id, f"artifact {artifact.pk} is in no folder of its session"
    for archive in Archive.objects.exclude(artifact=None).select_related("artifact"):
        file = archive.artifact
        late = file is None or abs(archive.created_at - file.created_at) > NEAR
        joined = archive.joined and archive.kind == Archive.Kind.EVENTS
        if archive.packed is not None or late or joined:
            yield archive.session_id, f"archive {archive.pk} is not that of its file"


ADDRESS = r"^[\w-]{43}$"


def accounts() -> Iterator[tuple[object, str]]:
    """Tokens are stored as digests, addresses of sessions are random, and copies were imported."""
    wrong = ~Q(digest__regex=HEX) | out_of_time("revoked_at", "created_at")
    for token in ApiToken.objects.filter(wrong):
        yield (
            "",
            f"token {token.pk} of user {token.owner_id} has no digest, or was never revoked then",
        )
    for session in Session.objects.exclude(watch_token__regex=ADDRESS):
        yield session.pk, "the address of the public page is not one that was made here"
    imports = Transfer.objects.filter(session=OuterRef("pk"), way=Transfer.Way.IMPORT)
    copies = Session.objects.exclude(imported_id="").exclude(type=Session.Type.IMPORTED)
    for session in copies.exclude(Exists(imports)):
        yield session.pk, "the session has the id of an import, but was not imported"


SUPPORTS = get_args(Support)


def passages() -> Iterator[tuple[object, str]]:
    """All versions of a story have passages, or none; the latest has those of the story.

    The sentences are of the text, and one that a correction left has the passages it had before.
    """
    rows = StoryVersion.objects.select_related("story").defer("story__narrative")
    before: StoryVersion | None = None
    for version in rows.order_by("story", "number").iterator(BATCH):
        of_story = version.story.passages
        latest = version.number == version.story.version and version.passages != of_story
        wrong = latest or bool(version.passages) != bool(of_story)
        for each in version.passages:
            wrong |= each["text"] not in version.narrative or each["support"] not in SUPPORTS
            wrong |= any(type(row["report"]) is not int for row in each["passages"])
        if before is not None and before.story_id == version.story_id:
            left = {each["text"]: each for each in before.passages if each["support"] != "none"}
            pulled = version.reason == editorial.PULLED_REASON
            for each in version.passages:
                then = left.get(each["text"], each)
                # Passages that repeat a withdrawn headline are left out.
                same = [row for row in then["passages"] if not pulled or row in each["passages"]]
                wrong |= {**then, "passages": same} != each
        if wrong:
            yield version.session_id, f"version {version.pk} of a story has other passages"
        before = version


def moments() -> Iterator[tuple[object, str]]:
    """Rows that pages date are as old as their neighbours, and none is from the future."""
    yield from audits.rows_of(dated_otherwise)


def dated_otherwise() -> Iterator[tuple[QuerySet[Any], str]]:
    """Yields the rows that are dated at another time than their neighbours."""
    own = Q(session__made_from=None, session__imported_id="") & ~Q(session__type="imported")
    day = Value(timedelta(days=1), DurationField())
    for model, column, order in (
        (AILink, "created_at", "pk"),
        (Message, "created_at", "pk"),
        (SessionEvent, "at", "seq"),
        (Source, "created_at", "pk"),
        (StoryVersion, "created_at", "pk"),
        (Story, "created_at", "pk"),
        (SourcePost, "created_at", "pk"),
        (TokenUsage, "created_at", "pk"),
        (AITransition, "created_at", "pk"),
        (Airing, "created_at", "pk"),
        (Episode, "created_at", "pk"),
    ):
        rows: QuerySet[Any] = model._default_manager.filter(own)
        if "legacy_id" in {field.name for field in model._meta.concrete_fields}:
            rows = rows.filter(legacy_id=None)
        window = Window(Lag(column), partition_by=F("session"), order_by=F(order).asc())
        begun = F("session__created_at") - day
        rows = rows.annotate(before=window, begun=begun, until=Now() + day)
        late = Q(**{f"{column}__lt": F("before") - day})
        if model is not SessionEvent:
            late |= Q(**{f"{column}__lt": F("begun")})
        what = f"{model._meta.verbose_name} {{key}} is dated at another time"
        yield rows.filter(late | Q(**{f"{column}__gt": F("until")})), what


def origins() -> Iterator[tuple[object, str]]:
    """Links, calls, answers, posts that wait and folders agree with what they were made for."""
    yield from audits.rows_of(made_otherwise)
    for session in Session.objects.only("pk", "folder"):
        if not session.folder.endswith(f"-{session.pk.hex[:12]}"):
            yield session.pk, "the session has no folder, or that of another one"


def made_otherwise() -> Iterator[tuple[QuerySet[Any], str]]:
    """Yields the rows that do not agree with what they were made for."""
    own = Q(session__made_from=None, session__imported_id="") & ~Q(session__type="imported")
    # A call for a story was made by the claim that its post had last.
    calls = TokenUsage.objects.filter(own, step=F("post__step")).exclude(story=None)
    yield calls.exclude(epoch=F("post__epoch")), "usage {key} is of another claim of its post"
    other = TokenUsage.objects.filter(step=OuterRef("step"), epoch=OuterRef("epoch"))
    other = other.exclude(Q(post=None) | Q(post=OuterRef("post")))
    narrated = TokenUsage.objects.filter(own).exclude(Q(post=None) | Q(step=None))
    yield narrated.filter(Exists(other)), "usage {key} is of the claim of another post"
    # An operation that asked no provider is stored with what it made.
    offline = AILink.objects.filter(usage=None, provider_id__startswith=chain.OFFLINE)
    chats = offline.filter(own, source=AILink.Source.CHAT).exclude(model="")
    yield chats.filter(messages=None), "link {key} has lost its answer"
    answers = Message.objects.exclude(link=None)
    yield answers.exclude(link__source=AILink.Source.CHAT), "message {key} has a link of other work"
    asked = answers.filter(link__usage__question__isnull=False)
    strayed = asked.exclude(link__usage__question=F("reply_to"))
    yield strayed, "message {key} answers another question"
    calls = TokenUsage.objects.filter(question=OuterRef("reply_to"))
    unlinked = Message.objects.filter(own, link=None, role=Message.Role.PRODUCER)
    answered = unlinked.filter(Exists(calls)).exclude(Exists(calls.filter(link=None)))
    yield answered.exclude(code="fault"), "message {key} has lost its link"
    pressed = StateChange.objects.filter(run=OuterRef("run"), epoch=1).exclude(actor=None)
    yield Slot.objects.filter(Exists(pressed)), "slot {key} has a run that a person started"
    run_before = Window(Lag("run__number"), partition_by=F("session"), order_by=F("pk").asc())
    airings = Airing.objects.filter(own).annotate(run_before=run_before)
    yield airings.filter(run__number__lt=F("run_before")), "airing {key} is of a run before its own"
    posts = SourcePost.objects.filter(own)
    gone = (SourcePost.State.SKIPPED, SourcePost.State.FAILED)
    yield posts.filter(state__in=gone, reason=""), "post {key} was not published, for no reason"
    published = posts.filter(state=SourcePost.State.PUBLISHED).exclude(story=None)
    yield published.exclude(reason=""), "post {key} was published, with a reason why not"
    waiting = posts.filter(state__in=(*SourcePost.WAITING, SourcePost.State.CLAIMED))
    returned = Q(reason="") | Q(reason__startswith=rundown.RETURNED)
    yield waiting.exclude(returned), "post {key} waits, with a reason why not"


def register() -> None:
    audits.register("states", states, Broadcast)
    audits.register("origins", origins)
    audits.register("moments", moments)
    audits.register("accounts", accounts)
    audits.register("passages", passages, StoryVersion)
    audits.register("airings", airings, Airing, Story)
    audits.register("runs", runs, Broadcast)
    audits.register("sounds", recorded_files, Sound, Episode, Artifact, Archive, Recap)
    for record in (
        # A story that opens a thread is in the event of the one that follows it.
        Record("story", stories_of, airing.story_payload, also="joined"),
        Record(
            "slots",
            in_session(Slot),
            lambda slot: slots.payload(slot, steps.now()),
            frozenset({"next"}),
            removable=True,
            whole=True,
        ),
        Record("recap", in_session(Recap, "run", "link"), recaps.payload),
        # Its progress is stored without an event.
        Record(
            "transfer",
            in_session(Transfer, "artifact"),
            transfers.payload,
            frozenset({"done", "total"}),
        ),
        Record("sound", in_session(Sound), sound_fields),
        Record(
            "air",
            in_session(Broadcast),
            orchestrator.payload,
            frozenset({"can_start", "can_stop", "can_recover"}),
            identity="run",
            lookup="number",
        ),
    ):
        audits.register_record(record)


def sound_fields(sound: Sound) -> dict[str, object]:
    """Returns what events have about a sound."""
    names = ("seconds", "engine", "voice")
    return {"id": sound.pk, "story": sound.story_id, **{n: getattr(sound, n) for n in names}}


def stories_of(session_id: UUID) -> QuerySet[Story]:
    """Returns the stories of a session with all that their payload needs."""
    return stories.of_session(Session(pk=session_id))
