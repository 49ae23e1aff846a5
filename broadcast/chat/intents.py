"""Requests by rule: turns plain English sentences into commands to propose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from broadcast.chat.facts import Inquiry, Suggestion
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories.market.ngrams import STOP_WORDS
from stories.posts import queue, scoring
from stories.text.sentences import word_set

# A rule returns the commands that a clause asks for; none when it does not apply.
Rule = Callable[[Inquiry, str], list[Suggestion]]

_SPACES = re.compile(r"\s+")
# These see a text without runs of spaces, which an expression could read again from each of them.
_CLAUSE_END = re.compile(r"[.;!\n]+ ?|, ?|\s(?:and|but|then|also)\s", re.IGNORECASE)
_POLITE = re.compile(
    r"^(?:please|can you|could you|would you|i want|i would like|i'd like|we want|let's|tell|give us"
    r"|give me|have|make it|be|sound|go|a bit|a little)\s|\s(?:please|now|thanks|thank you)$",
    re.IGNORECASE,
)
LANGUAGES = {
    "arabic": "ar",
    "chinese": "zh",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hindi": "hi",
    "hungarian": "hu",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "norwegian": "no",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "spanish": "es",
    "swedish": "sv",
    "turkish": "tr",
    "ukrainian": "uk",
}
_SHORT = re.compile(r"\b(?:concise|shorter|brief(?:er)?|less detail(?:s|ed)?|fewer words)\b")
_LONG = re.compile(r"\b(?:comprehensive|much longer|all the details)\b")
_DETAILED = re.compile(r"\b(?:detailed|longer|more detail(?:s|ed)?)\b")
_WPM = re.compile(r"\b(\d{2,4})\s*(?:wpm|words (?:a|per) minute)\b")
_SLOWER, _FASTER = re.compile(r"\bslow(?:er|ly)?\b"), re.compile(r"\b(?:faster|quick(?:er|ly))\b")
_MORE = re.compile(r"^(?:much )?more (?:of |about |on |from )?(?P<of>.{2,60})$")
_LESS = re.compile(
    r"^(?:much less|less|fewer|no more|no|without|enough|stop) (?:of |about |on |from |with )?"
    r"(?P<of>.{2,60})$"
)
_FORGET = re.compile(r"^(?:forget|drop|remove) (?:the )?(?:interest (?:in )?)?(?P<of>.{2,60})$")
_SPECIAL = re.compile(
    r"\b(?:prepare|write|draft|start|make|do|plan)\s(?:me\s|us\s)?(?:an?\s)?(?P<kind>special|"
    r"draft|report|feature|explainer|comment|piece|article|story)?\s?(?:of (?P<words>\d{2,4}) words )?"
    r"(?:on|about)\s(?P<topic>[^.;!?\n]{2,200})",
    re.IGNORECASE,
)
_BOARD = re.compile(
    r"^(?:put|note|add|keep)\s(?P<text>.{2,80}?)\s(?:on|onto|to|in)\s(?:the\s)?"
    r"(?:board\s)?(?P<board>ideas|research|trending|archive)(?:\sboard)?$",
    re.IGNORECASE,
)
_POST = re.compile(r"^(?P<verb>pin|hold back|hold|kill|skip)\s+(?P<what>.{1,120})$", re.IGNORECASE)
_STORY = re.compile(r"^bookmark\s+(?P<what>.{1,120})$", re.IGNORECASE)
_INSTRUCT = re.compile(
    r"\b(?:instructions?(?: for the host)?:|tell the host to)\s*(?P<text>.{3,500})$",
    re.IGNORECASE | re.DOTALL,
)
_POST_COMMANDS = {
    "pin": "post.pin",
    "hold": "post.hold",
    "hold back": "post.hold",
    "kill": "post.kill",
    "skip": "post.kill",
}
# Words that may follow "more" and "less" without naming a subject.
_NO_SUBJECT = STOP_WORDS | word_set(
    "stories slowly quickly fast slow formal detail details detailed"
)


def suggestions(inquiry: Inquiry) -> list[Suggestion]:
    """Returns the commands that a text asks for, in its order; none for a question."""
    text = inquiry.text.strip()
    if match := _INSTRUCT.search(text):
        return [setting(instructions=match["text"].strip())]
    text = _SPACES.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    commands: list[Suggestion] = []
    if match := _SPECIAL.search(text):
        commands.append(new_draft(match))
        text = text[: match.start()] + text[match.end() :]
    for clause in clauses(text):
        commands += next((result for rule in RULES if (result := rule(inquiry, clause))), [])
    return commands


def clauses(text: str) -> Iterator[str]:
    """Splits a text into clauses without polite words, and leaves questions out."""
    for part in _CLAUSE_END.split(text):
        clause, before = part.strip(), ""
        while clause != before:
            before, clause = clause, _POLITE.sub("", clause).strip()
        if clause and not clause.endswith("?"):
            yield clause


def setting(**settings: str | int) -> Suggestion:
    return "session.change", {"settings": settings}


def new_draft(match: re.Match[str]) -> Suggestion:
    topics = re.split(r",|&|\band\b", match["topic"], flags=re.IGNORECASE)
    payload: dict[str, object] = {
        "keywords": [topic.strip()[:80] for topic in topics if topic.strip()]
    }
    if match["words"]:
        payload["words"] = int(match["words"])
    kind = (match["kind"] or "").lower()
    if kind in {"report", "feature", "explainer", "comment"}:
        payload["style"] = kind
    return "draft.start", payload


def pace(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    text, current = clause.lower(), inquiry.session.pace or DEFAULT_PACE
    if match := _WPM.search(text):
        return [setting(pace=int(match[1]))]
    slower = _SLOWER.search(text)
    if not slower and not _FASTER.search(text):
        return []
    factor = 0.6 if "much" in text else 0.8
    changed = current * factor if slower else current / factor
    return [setting(pace=min(max(round(changed / 10) * 10, 60), 6000))]


def personality(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    for name in Session.Personality.values:
        if re.search(rf"\b{name}\b", clause.lower()):
            return [setting(personality=name)]
    return []


def verbosity(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    lengths = ((_SHORT, "concise"), (_LONG, "comprehensive"), (_DETAILED, "detailed"))
    for pattern, length in lengths:
        if pattern.search(clause.lower()):
            return [setting(verbosity=length)]
    return []


def language(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    match = re.search(r"\b(?:speak|in|use|switch to)\s+([a-z]+)$", clause.lower())
    tag = LANGUAGES.get(match[1]) if match else None
    return [setting(language=tag)] if tag else []


def interest(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    text = clause.lower()
    for weight, pattern in (("more", _MORE), ("less", _LESS)):
        match = pattern.match(text)
        if match and not set(match["of"].split()) <= _NO_SUBJECT:
            return [("interest.set", {"text": match["of"], "weight": weight})]
    return []


def forget_interest(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    match = _FORGET.match(clause.lower())
    key = scoring.folded(match["of"]) if match else ""
    return [
        ("interest.drop", {"interest": row["id"]})
        for row in inquiry.facts.interests
        if scoring.folded(str(row["text"])) == key
    ]


def board(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    match = _BOARD.match(clause)
    if match is None:
        return []
    return [("board.add", {"text": match["text"], "board": match["board"].lower()})]


def post(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    """Refers to a queued post by its id, or by words that are all in its headline."""
    match = _POST.match(clause)
    if match is None:
        return []
    if number := re.fullmatch(r"(?:post\s*)?#?(\d{1,18})", match["what"].strip().lower()):
        post_id: int | None = int(number[1])
    else:
        rows = queue.waiting(inquiry.session).values_list("pk", "title")[: queue.QUEUE_LIMIT]
        post_id = with_title(list(rows), match["what"])
    return [(_POST_COMMANDS[match["verb"].lower()], {"post": post_id})] if post_id else []


def story(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    """Refers to a story by its id, or by words that are all in its title."""
    match = _STORY.match(clause)
    if match is None:
        return []
    if number := re.fullmatch(r"(?:story\s*)?#?(\d{1,18})", match["what"].strip().lower()):
        story_id: int | None = int(number[1])
    else:
        known = [*inquiry.facts.found, *inquiry.facts.stories_waiting]
        story_id = with_title([(row["story"], row["title"]) for row in known], match["what"])
    return [("story.bookmark", {"story": story_id, "on": True})] if story_id else []


def with_title(rows: Sequence[tuple[int, str]], text: str) -> int | None:
    """Returns the id of the first row whose title has all of the words."""
    words = set(scoring.folded(text).split()) - STOP_WORDS
    for pk, title in rows:
        if words and words <= set(scoring.folded(title).split()):
            return pk
    return None


# The first rule that applies to a clause decides.
RULES: tuple[Rule, ...] = (
    board,
    post,
    story,
    pace,
    personality,
    verbosity,
    language,
    forget_interest,
    interest,
)
