"""The disclosure of how a story was made: who wrote it, who approved it, who reads it.

European law (Regulation 2024/1689, article 50) asks for a label that people see and a mark that
machines read, from 2 December 2026. The mark is always published. The label may be left out where
an editor reviewed the story and takes responsibility for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from stories.models import Story

Writer = Literal["model", "source", "editor", "room", "import", "recap"]

# The vocabulary in which news agencies declare how media was made.
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERAL = "Written and read by software"
OF_EXPORTS = (
    "Stories are written and read by software. Origin and model of each story name its maker "
    "(extractive: verbatim from the source; manual: an editor), approved_at an editor's approval."
)

_WRITERS: dict[str, Writer] = {
    Story.Origin.MODEL: "model",
    # The public name says what the audience gets, not how the studio calls its narrator.
    Story.Origin.EXTRACTIVE: "source",
    Story.Origin.MANUAL: "editor",
    Story.Origin.DRAFT: "room",
    Story.Origin.LEGACY: "import",
    Story.Origin.RECAP: "recap",
}
_COMPUTED, _GENERATED, _GENERATED_AND_EDITED = (
    "algorithmicMedia",
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
)


class Disclosure(TypedDict):
    """How a story was made."""

    text: Annotated[str, Field(description="One sentence or two for people.")]
    writer: Annotated[
        Writer,
        Field(
            description="model; source (sentences taken verbatim); editor; room (the writers' "
            "room); import; recap (of headlines)."
        ),
    ]
    maker: Annotated[str, Field(description="Who wrote it, as feed readers show an author.")]
    model: Annotated[str, Field(description="Name of the model that wrote it, or empty.")]
    edited: Annotated[bool, Field(description="Whether an editor changed the text.")]
    approved: Annotated[bool, Field(description="Whether an editor approved it before it aired.")]
    editor: Annotated[
        str, Field(description="Public name of the editor who approved or wrote it, or empty.")
    ]
    labelled: Annotated[
        bool,
        Field(description="Whether pages show the text; false where the editor answers for it."),
    ]
    source_type: Annotated[
        str, Field(description="Address of the term in IPTC's digital source types.")
    ]


def of_story(story: Story) -> Disclosure:
    """Returns how the story was made."""
    writer = _WRITERS[story.origin]
    edited = story.version > 1 and writer != "editor"
    approved = story.approved_at is not None and writer != "editor"
    model = story.model if writer in ("model", "room", "import") else ""
    return {
        "text": _sentences(writer, model, edited, approved, story.approved_as),
        "writer": writer,
        "maker": (story.approved_as or "an editor") if writer == "editor" else model or "software",
        "model": model,
        "edited": edited,
        "approved": approved,
        "editor": story.approved_as,
        "labelled": not story.label_off,
        "source_type": SOURCE_TYPES + _source_type(writer, edited),
    }


def _sentences(writer: Writer, model: str, edited: bool, approved: bool, editor: str) -> str:
    by = {
        "model": f"Written by {model or 'software'}",
        "source": "Verbatim from the source, selected and introduced by software",
        "editor": f"Written by {editor or 'an editor'}",
        "room": f"Written by {model or 'software'} in the writers' room",
        "import": f"Written by {model or 'software'} in an earlier system",
        "recap": "Compiled by software from the headlines of earlier stories",
    }[writer]
    if edited:
        by += ", edited by an editor"
    text = f"{by} and read by a synthetic voice."
    return f"{text} Approved by {(editor or 'an editor').removesuffix('.')}." if approved else text


def _source_type(writer: Writer, edited: bool) -> str:
    if writer in ("source", "recap"):
        return _COMPUTED
    if writer == "editor":
        return "digitalCreation"
    return _GENERATED_AND_EDITED if edited else _GENERATED


def usual(disclosures: Sequence[Disclosure]) -> str:
    """Returns the label that most stories of a list have, so that the list says it once, or ""."""
    labels = Counter(each["text"] for each in disclosures if each["labelled"])
    text, times = labels.most_common(1)[0] if labels else ("", 0)
    return text if times > 1 else ""


def source_type_of_sound(story: Disclosure) -> str:
    """Returns the source type of the story when a synthetic voice reads it."""
    by_model = story["writer"] in ("model", "room", "import")
    return SOURCE_TYPES + (_GENERATED if by_model else _COMPUTED)


def spoken(stories: list[Disclosure]) -> str:
    """Returns how a programme with these stories identifies its makers when it is heard."""
    models = sorted({story["model"] for story in stories if story["model"]})
    parts = []
    if models or any(story["writer"] in ("room", "import") for story in stories):
        parts.append(f"written by {' and '.join(models) or 'software'}")
    if any(story["writer"] == "source" for story in stories):
        parts.append("taken verbatim from their sources by software")
    if any(story["writer"] == "editor" for story in stories):
        parts.append("written by an editor")
    makers = ", or ".join(parts) or "written by software"
    return f"Stories are {makers}. They are read by a synthetic voice."
