"""Publishing drafts: a finished draft becomes a story that waits for its airing."""

from __future__ import annotations

from itertools import takewhile
from typing import Annotated, Literal

from django.db import IntegrityError
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import airing, next_story, orchestrator
from sessions_app import commands
from sessions_app.commands import Call, Command
from sessions_app.errors import Conflict
from sessions_app.models import Session
from stories import stories
from stories.drafting import drafts, versions
from stories.drafting.commands import DraftId
from stories.drafting.offline_agent import HEADINGS, LABEL, OPEN_QUESTIONS
from stories.models import Draft, Story
from stories.text.cleaning import cut
from stories.text.sentences import sentences, word_count

MOST_SUMMARY = 300  # characters
MOST_TOPIC = 40  # characters
MOST_STORIES = 500  # in the text of a session

ALREADY_PUBLISHED = "This draft is already a story; you find it in the feed."

TONES: dict[str, str] = {
    Draft.Style.EXPLAINER: Story.Tone.ANALYSIS,
    Draft.Style.FEATURE: Story.Tone.HUMAN_INTEREST,
    Draft.Style.COMMENT: Story.Tone.OPINION,
}


def air(call: Call) -> Story:
    """Makes a story of a finished draft's latest version; it waits for its airing like any other."""
    session = call.target
    try:
        # The run comes before the draft and the story in the lock order.
        with orchestrator.locked_live_run(session) as run:
            draft = drafts.find(session, call.payload.draft)
            story = _create_story(draft)
            drafts.changed(drafts.find(session, draft.pk))
            next_story.tell(story, run)
            airing.advance(run)
    except IntegrityError:
        # Two requests at once: the unique draft of a story refuses the later one.
        raise Conflict(ALREADY_PUBLISHED, code="aired") from None
    # It may have gone on air in the same transaction.
    story.refresh_from_db(fields=["state"])
    return story


def _create_story(draft: Draft) -> Story:
    """Creates the story of a finished draft and records it; Conflict if it has one already."""
    version = versions.latest(draft)
    if draft.state != Draft.State.FINISHED or version is None:
        raise Conflict("Only a finished draft can go on air.", state=draft.state)
    # Django raises an error for a one-to-one row that does not exist, and hasattr() is False then.
    if hasattr(draft, "story"):
        raise Conflict(ALREADY_PUBLISHED, code="aired")
    narrative = for_air(version.text)
    first_sentence = next(iter(sentences(narrative)), "")
    return stories.create(
        Story(
            session=draft.session,
            draft=draft,
            origin=Story.Origin.DRAFT,
            title=version.title,
            narrative=narrative,
            summary=cut(first_sentence, MOST_SUMMARY),
            tone=TONES.get(draft.style, Story.Tone.DEVELOPING),
            priority=Story.Priority.MEDIUM,
            agent_type="room",
            topics=[cut(keyword, MOST_TOPIC) for keyword in draft.keywords[:5]],
        )
    )


def for_air(text: str) -> str:
    """Returns a dossier without what is for readers only: label, headings, questions, sources."""
    if not text.startswith(LABEL):
        return text
    passages = takewhile(
        lambda part: part != OPEN_QUESTIONS and not part.startswith("Sources: "), text.split("\n\n")
    )
    return "\n\n".join(part for part in passages if part not in {LABEL, *HEADINGS}) or text


AIR = Command("draft.air", DraftId, air, "Turns a finished draft into a story and queues it.")


class SessionText(TypedDict):
    """The finished text of a session."""

    source: Annotated[
        Literal["draft", "stories"],
        Field(description="draft: the latest finished draft; stories: the published stories."),
    ]
    title: Annotated[str, Field(description="Headline of the draft, or name of the session.")]
    text: Annotated[str, Field(description="The text; paragraphs are separated by empty lines.")]
    word_count: Annotated[int, Field(description="Number of words of the text.")]
    draft_id: Annotated[int | None, Field(description="Id of the draft; null for stories.")]


def text_of(session: Session) -> SessionText:
    """The text of the session's latest finished draft, or of its published stories in order."""
    finished = drafts.of_session(session).filter(state=Draft.State.FINISHED)
    draft = finished.order_by("-finished_at", "-id").first()
    version = versions.latest(draft) if draft else None
    if draft is not None and version is not None:
        # The story that was made of it may have been corrected on air.
        story = Story.objects.filter(draft=draft, version__gt=1).first()
        text = story.narrative if story else version.text
        return {
            "source": "draft",
            "title": story.title if story else version.title,
            "text": text,
            "word_count": word_count(text),
            "draft_id": draft.pk,
        }
    newest_first = stories.published(session).order_by("-id").values_list("title", "narrative")
    # The newest ones within the limit, in the order in which they were published.
    rows = reversed(newest_first[:MOST_STORIES])
    text = "\n\n".join(f"{title}\n\n{narrative}" for title, narrative in rows)
    return {
        "source": "stories",
        "title": session.name,
        "text": text,
        "word_count": word_count(text),
        "draft_id": None,
    }


def register() -> None:
    commands.register(AIR)
