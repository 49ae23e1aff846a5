"""After a correction the old text is in no byte that leaves the system, but in the version history.

A story is on air, in a thread, in recaps, in the memory and in the chat when it is corrected. Then
every page, frame, API answer, feed and export, and every request to the model, is searched for it.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from broadcast import recaps, recordings
from broadcast.models import Broadcast, Recap
from broadcast.narrators.presentation import hourly_recap
from sessions_app import audits
from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import retention, steps, sweeper
from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.files import artifacts
from sessions_app.models import (
    AILink,
    Archive,
    Message,
    Session,
    SessionEvent,
    SessionStats,
    Step,
)
from sessions_app.realtime import frames
from stories import stories, threads
from stories.models import Story
from tests.archived_events import archive_all, grow_old
from tests.broadcast.session_with_history import asking_a_model, exported
from tests.broadcast.speech.recorded_session import press, show, tell
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once
from tests.smnb.test_authz import TABLE

pytestmark = pytest.mark.django_db(transaction=True)

OLD_TITLE = "Four ferries sank off Skerry"
OLD_SENTENCE = "Nine people drowned near the old pier."
TITLE, SENTENCE = "One ferry ran aground off Skerry", "No one was hurt near the old pier."
OLD = (OLD_TITLE.lower(), OLD_SENTENCE.rstrip(".").lower())
# The page of the story shows its versions, with what each of them changed.
HISTORY = {"broadcast/<session>/stories/<story>/", "story_versions", "versions"}


def found_in(text: str) -> list[str]:
    plain = " ".join(re.sub(r"<[^>]+>", "", text).replace("&#x27;", "'").lower().split())
    return [old for old in OLD if old in plain or old in text.lower()]


@pytest.fixture
@made_once
def past(make_session: MakeSession) -> Session:
    """A session with a wrong story, repeated wherever the product repeats a story."""
    session = show(make_session("Harbour news", model="extractive"))
    others = tell(session, 2)
    press(session, "broadcast.start")
    run_due_steps(session, most=4)
    text = f"{OLD_SENTENCE} The harbour master spoke."
    press(session, "story.break_in", title=OLD_TITLE, text=text)
    wrong = Story.objects.get(title=OLD_TITLE)
    Story.objects.filter(pk=wrong.pk).update(summary=OLD_SENTENCE)
    wrong.refresh_from_db()
    follower = Story.objects.filter(pk=others[0].pk)
    with transaction.atomic():
        later = threads.join(follower.get(), threads.Earlier(wrong, "follow-up"))
        assert later is not None
        follower.update(thread=later.thread, relation="follow-up")
    for story in (wrong, others[0]):
        # Its event has the thread, as that of a real follow-up does.
        press(session, "story.bookmark", story=story.pk, on=True)
    recorder.add_message(session, "producer", f"On air: {OLD_TITLE}. {OLD_SENTENCE}")
    with transaction.atomic():
        offline = chain.offline_id()
        operation = Operation(source="compaction", provider_id=offline, model="extractive")
        link = chain.append(session, operation)
        AILink.objects.filter(pk=link.pk).update(summary=f"So far: {OLD_TITLE}. {OLD_SENTENCE}")
        run = Broadcast.objects.get(session=session, state="live")
        hourly = hourly_recap([OLD_TITLE, "The market is open"])
        stories.create(
            Story(
                session=session,
                origin="recap",
                title=recaps.TITLE,
                narrative=hourly,
                tone="developing",
                priority="medium",
            )
        )
    assert run
    run_due_steps(session, most=20)
    press(session, "broadcast.stop")
    run_due_steps(session)
    assert OLD_TITLE in Recap.objects.latest("pk").title + Recap.objects.latest("pk").summary
    return session


def outgoing(session: Session, owner: Client) -> Iterator[tuple[str, str]]:
    """Every text that leaves: pages, API, feeds, frames and exports, by where it is."""
    wrong = Story.objects.get(session=session, agent_type="human")
    values = {
        "session": session.pk,
        "token": session.watch_token,
        "story": wrong.pk,
        "thread": wrong.thread_id,
        "run_number": 2,
        "slug": "api",
        "source": 1,
        "post": wrong.pk,
    }
    for route, method in sorted(TABLE):
        names = re.findall(r"<(\w+)>", route)
        if method != "GET" or route in HISTORY or not set(names) <= values.keys():
            continue
        path = "/" + re.sub(r"<(\w+)>", lambda found: str(values[found[1]]), route)
        query = "?q=ferry" if route.endswith("search") else ""
        for client in (Client(), owner):
            answer: Any = client.get(path + query)
            content = answer.getvalue() if answer.streaming else answer.content
            yield f"{path} {answer.status_code}", content.decode("utf-8", "replace")
    events = list(SessionEvent.objects.filter(session=session))
    for audience in (recorder.OWNER, recorder.PUBLIC):
        for event in events:
            if frames.visible(event.type, audience):
                frame = frames.frame_of(event, event.seq - 1, audience)
                for format_ in (frames.HTML, frames.JSON):
                    text = frames.text_of(frame, audience, format_)
                    yield f"frame {event.seq} {event.type} {audience} {format_}", text
    for format_ in ("csv", "md", "srt"):
        yield format_, exported(session, format_).decode()
    rows = json.loads(exported(session, "json"))
    yield "json", json.dumps({name: rows[name] for name in rows.keys() - HISTORY})
    with zipfile.ZipFile(io.BytesIO(exported(session, "zip"))) as archive:
        for name in archive.namelist():
            if not HISTORY & {re.split(r"[-.]", name.rpartition("/")[2])[0]}:
                yield f"zip {name}", archive.read(name).decode("utf-8", "replace")


@pytest.mark.slow
def test_a_correction_is_corrected_everywhere(past: Session, client_of: Any) -> None:
    owner = client_of(past.owner)
    before = {where for where, text in outgoing(past, owner) if found_in(text)}
    assert len(before) > 25
    wrong = Story.objects.get(session=past, agent_type="human")
    data = {"title": TITLE, "text": f"{SENTENCE} The harbour master spoke.", "reason": "A mix-up."}
    press(past, "story.correct", story=wrong.pk, **data)
    run_due_steps(past)
    left = [f"{where}: {found_in(text)}" for where, text in outgoing(past, owner) if found_in(text)]
    assert "\n".join(left) == ""
    assert list(audits.run()) == []
    # The history alone still has it, and what was repeated has the new headline.
    page = owner.get(f"/broadcast/{past.pk}/stories/{wrong.pk}/").content.decode()
    assert OLD[0] in found_in(page)
    assert TITLE in Recap.objects.latest("pk").title + Recap.objects.latest("pk").summary
    assert TITLE in Message.objects.filter(role="producer", text__startswith="On air").get().text
    recap = Story.objects.get(origin="recap")
    assert (TITLE in recap.narrative, recap.version) == (True, 2)


def with_archived_events(session: Session, client: Client) -> Iterator[tuple[str, str]]:
    """Every text that leaves and that is made of archived events as well, by where it is."""
    page = client.get(f"/api/sessions/{session.pk}/events?limit=500")
    yield "api", page.content.decode()
    last = SessionStats.objects.get(session=session).last_seq
    for audience in (recorder.OWNER, recorder.PUBLIC):
        for event in events_archive.events_between(session, 1, last, audience):
            frame = frames.frame_of(event, event.seq - 1, audience)
            for format_ in (frames.HTML, frames.JSON):
                text = frames.text_of(frame, audience, format_)
                yield f"frame {event.seq} {event.type} {audience} {format_}", text
    rows = json.loads(exported(session, "json"))
    yield "json", json.dumps(rows["events"])
    with zipfile.ZipFile(io.BytesIO(exported(session, "zip"))) as files:
        for name in files.namelist():
            if name.startswith(("data/events", "files/")):
                yield f"zip {name}", files.read(name).decode("utf-8", "replace")
    for artifact in artifacts.listed(session):
        answer: Any = client.get(f"/broadcast/{session.pk}/artifacts/{artifact.pk}/")
        content = answer.getvalue() if answer.streaming else answer.content
        if artifact.name.endswith(".gz"):
            content = gzip.decompress(content)
        yield f"file {artifact.name}", content.decode("utf-8", "replace")


def test_a_correction_reaches_archived_events(
    past: Session, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the files of the archives too, which can be downloaded and are part of every backup."""
    monkeypatch.setattr(retention, "CHUNK", 20)
    monkeypatch.setattr(events_archive, "NEWEST", 3)
    owner = client_of(past.owner)
    grow_old(past, SessionStats.objects.get(session=past).last_seq - 6)
    archive_all()
    wrong = Story.objects.get(session=past, agent_type="human")
    before = [where for where, text in with_archived_events(past, owner) if found_in(text)]
    archived = Archive.objects.filter(session=past)
    lines = [line for one in archived for line in events_archive.read_lines(one)]
    assert (len(archived) > 2, len(before) > 25) == (True, True)
    data = {"title": TITLE, "text": f"{SENTENCE} The harbour master spoke.", "reason": "A mix-up."}
    press(past, "story.correct", story=wrong.pk, **data)
    run_due_steps(past)
    # The recording of the run waits until the archives of all corrected stories are done.
    Step.objects.filter(session=past, kind=recordings.RECORD).update(due_at=steps.now())
    run_due_steps(past)
    found = {where: found_in(text) for where, text in with_archived_events(past, owner)}
    assert {where: old for where, old in found.items() if old} == {}
    # Nothing else has changed, and no file of before is left.
    assert len(found) > 100
    after = [line for one in archived.all() for line in events_archive.read_lines(one)]
    assert [(line["seq"], line["type"], line["at"]) for line in after] == [
        (line["seq"], line["type"], line["at"]) for line in lines
    ]
    names = {path.name for path in artifacts.folder(past, "archive").iterdir()}
    assert names == set(artifacts.listed(past, "archive").values_list("name", flat=True))
    assert list(audits.run()) == []


@pytest.mark.slow
def test_events_that_a_correction_changes_meanwhile_are_not_archived(
    past: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_archive, "NEWEST", 3)
    wrong = Story.objects.get(session=past, agent_type="human")
    last = SessionStats.objects.get(session=past).last_seq
    grow_old(past, last - 6)
    write = events_archive._write_file

    def written_while_it_is_corrected(*arguments: Any) -> Any:
        file = write(*arguments)
        monkeypatch.setattr(events_archive, "_write_file", write)
        data = {"title": TITLE, "text": SENTENCE, "reason": "A mix-up."}
        SessionEvent.objects.filter(session=past).update(at=timezone.now())
        press(past, "story.correct", story=wrong.pk, **data)
        return file

    monkeypatch.setattr(events_archive, "_write_file", written_while_it_is_corrected)
    archive_all()
    rows = SessionEvent.objects.filter(session=past).values_list("payload", flat=True)
    assert (Archive.objects.count(), found_in(json.dumps(list(rows)))) == (0, [])
    folder = artifacts.folder(past, "archive")
    assert not folder.exists() or list(folder.iterdir()) == []


def test_no_request_to_the_model_has_the_old_text(past: Session) -> None:
    wrong = Story.objects.get(session=past, agent_type="human")
    data = {"title": TITLE, "text": f"{SENTENCE} The harbour master spoke.", "reason": "A mix-up."}

    def asked() -> str:
        """What the model is asked when it narrates, answers and sums up."""
        with asking_a_model() as model:
            press(past, "chat.say", text="What happened with the ferries?")
            run_due_steps(past)
            tell(past, Story.objects.filter(session=past, state="aired").count() + 1)
            run_due_steps(past)
            # The run is idle once its recap is made.
            sweeper.sweep()
            return "".join(request.body.decode() for request in model.requests)

    Session.objects.filter(pk=past.pk).update(model="claude-haiku-5-5")
    past.refresh_from_db()
    assert found_in(asked()) != []
    press(past, "story.correct", story=wrong.pk, **data)
    text = asked()
    assert (found_in(text), TITLE in text) == ([], True)


def test_a_short_headline_is_not_replaced_within_other_texts(session: Session) -> None:
    """“Tides” is a word of many texts; only the story itself changes."""
    press(session, "broadcast.start")
    run_due_steps(session, most=4)
    press(session, "story.break_in", title="Tides", text="The water rose by a metre in the night.")
    story = Story.objects.get(title="Tides")
    recorder.add_message(session, "producer", "Tides are high today.")
    data = {"title": "Floods", "text": "It fell.", "reason": "Wrong."}
    press(session, "story.correct", story=story.pk, **data)
    assert Message.objects.filter(text="Tides are high today.").exists()
    event = SessionEvent.objects.get(
        session=session, type="story.written", payload__story__id=story.pk
    )
    assert (event.payload["story"]["title"], event.payload["story"]["narrative"]) == (
        "Floods",
        "It fell.",
    )
    assert list(audits.run("records")) == []
