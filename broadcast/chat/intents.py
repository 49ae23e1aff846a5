"""Intents by rule: what a person asks to have changed, in plain English, as commands to propose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from broadcast.chat.facts import Facts, Inquiry, Wanted
from sessions_app.models.session import DEFAULT_PACE
from stories.market.ngrams import STOP_WORDS
from stories.posts import matching, queue
from stories.text import word_set

Rule = Callable[[Inquiry, str], list[Wanted]]

_APART = re.compile(r"[.;!\n]+\s*|,\s*|\s+(?:and|but|then|also)\s+", re.IGNORECASE)
_POLITE = re.compile(
    r"^(?:please|can you|could you|would you|i want|i would like|i'd like|we want|let's|tell|give us"
    r"|give me|have|make it|be|sound|go|a bit|a little)\s+|\s+(?:please|now|thanks|thank you)$",
    re.IGNORECASE,
)
LANGUAGES = {
    "arabic": "ar", "chinese": "zh", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en",
    "finnish": "fi", "french": "fr", "german": "de", "greek": "el", "hindi": "hi",
    "hungarian": "hu", "italian": "it", "japanese": "ja", "korean": "ko", "norwegian": "no",
    "polish": "pl", "portuguese": "pt", "romanian": "ro", "spanish": "es", "swedish": "sv",
    "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip
_MANNERS = ("formal", "conversational", "analytical", "energetic")
_SHORT = re.compile(r"\b(?:concise|shorter|brief(?:er)?|less detail(?:s|ed)?|fewer words)\b")
_LONG = re.compile(r"\b(?:comprehensive|much longer|all the details)\b")
_USUAL = re.compile(r"\b(?:detailed|longer|more detail(?:s|ed)?)\b")
_WPM = re.compile(r"\b(\d{2,4})\s*(?:wpm|words (?:a|per) minute)\b")
_SLOWER, _FASTER = re.compile(r"\bslow(?:er|ly)?\b"), re.compile(r"\b(?:faster|quick(?:er|ly))\b")
_MORE = re.compile(r"^(?:much )?more (?:of |about |on |from )?(?P<of>.{2,60})$")
_LESS = re.compile(
    r"^(?:much less|less|fewer|no more|no|without|enough|stop) (?:of |about |on |from |with )?"
    r"(?P<of>.{2,60})$"
)
_FORGET = re.compile(r"^(?:forget|drop|remove) (?:the )?(?:interest (?:in )?)?(?P<of>.{2,60})$")
_SPECIAL = re.compile(
    r"\b(?:prepare|write|draft|start|make|do|plan)\s+(?:me\s+|us\s+)?(?:an?\s+)?(?P<kind>special|"
    r"draft|report|feature|explainer|comment|piece|article|story)?\s*(?:of (?P<words>\d{2,4}) words )?"
    r"(?:on|about)\s+(?P<topic>[^.;!?\n]{2,200})",
    re.IGNORECASE,
)
_BOARD = re.compile(
    r"^(?:put|note|add|keep)\s+(?P<text>.{2,80}?)\s+(?:on|onto|to|in)\s+(?:the\s+)?"
    r"(?:board\s+)?(?P<board>ideas|research|trending|archive)(?:\s+board)?$",
    re.IGNORECASE,
)
_POST = re.compile(r"^(?P<verb>pin|hold back|hold|kill|skip)\s+(?P<what>.{1,120})$", re.IGNORECASE)
_STORY = re.compile(r"^bookmark\s+(?P<what>.{1,120})$", re.IGNORECASE)
_INSTRUCT = re.compile(
    r"\b(?:instructions?(?: for the host)?:|tell the host to)\s*(?P<said>.{3,500})$",
    re.IGNORECASE | re.DOTALL,
)
_VERBS = {"pin": "post.pin", "hold": "post.hold", "hold back": "post.hold", "kill": "post.kill",
          "skip": "post.kill"}  # fmt: skip
# What "more" and "less" may stand before without naming a subject.
_NO_SUBJECT = STOP_WORDS | word_set(
    "stories slowly quickly fast slow formal detail details detailed"
)


def wanted(inquiry: Inquiry) -> list[Wanted]:
    """The commands a text asks for, in its order; none for a question."""
    text = inquiry.text.strip()
    if said := _INSTRUCT.search(text):
        return [_manner(instructions=said["said"].strip())]
    found: list[Wanted] = []
    if special := _SPECIAL.search(text):
        found.append(_special(special))
        text = text[: special.start()] + text[special.end() :]
    for clause in _clauses(text):
        found += next((made for rule in _RULES if (made := rule(inquiry, clause))), [])
    return found


def _clauses(text: str) -> Iterator[str]:
    for part in _APART.split(text):
        clause, before = part.strip(), ""
        while clause != before:
            before, clause = clause, _POLITE.sub("", clause).strip()
        if clause and not clause.endswith("?"):
            yield clause


def _manner(**settings: str | int) -> Wanted:
    return "session.change", {"settings": settings}


def _special(found: re.Match[str]) -> Wanted:
    topics = re.split(r",|&|\band\b", found["topic"], flags=re.IGNORECASE)
    data: dict[str, object] = {"keywords": [each.strip()[:80] for each in topics if each.strip()]}
    if found["words"]:
        data["words"] = int(found["words"])
    kind = (found["kind"] or "").lower()
    if kind in {"report", "feature", "explainer", "comment"}:
        data["style"] = kind
    return "draft.start", data


def _pace(inquiry: Inquiry, clause: str) -> list[Wanted]:
    low, now = clause.lower(), inquiry.session.pace or DEFAULT_PACE
    if said := _WPM.search(low):
        return [_manner(pace=int(said[1]))]
    slower = _SLOWER.search(low)
    if not slower and not _FASTER.search(low):
        return []
    step = 0.6 if "much" in low else 0.8
    pace = now * step if slower else now / step
    return [_manner(pace=min(max(round(pace / 10) * 10, 60), 6000))]


def _personality(_inquiry: Inquiry, clause: str) -> list[Wanted]:
    manner = next((each for each in _MANNERS if re.search(rf"\b{each}\b", clause.lower())), "")
    return [_manner(personality=manner)] if manner else []


def _verbosity(_inquiry: Inquiry, clause: str) -> list[Wanted]:
    rules = ((_SHORT, "concise"), (_LONG, "comprehensive"), (_USUAL, "detailed"))
    for pattern, length in rules:
        if pattern.search(clause.lower()):
            return [_manner(verbosity=length)]
    return []


def _language(_inquiry: Inquiry, clause: str) -> list[Wanted]:
    said = re.search(r"\b(?:speak|in|use|switch to)\s+([a-z]+)$", clause.lower())
    tag = LANGUAGES.get(said[1]) if said else None
    return [_manner(language=tag)] if tag else []


def _interest(_inquiry: Inquiry, clause: str) -> list[Wanted]:
    low = clause.lower()
    for weight, pattern in (("more", _MORE), ("less", _LESS)):
        said = pattern.match(low)
        if said and not set(said["of"].split()) <= _NO_SUBJECT:
            return [("interest.set", {"text": said["of"], "weight": weight})]
    return []


def _forget(inquiry: Inquiry, clause: str) -> list[Wanted]:
    said = _FORGET.match(clause.lower())
    key = matching.folded(said["of"]) if said else ""
    known = (each for each in inquiry.facts.interests if matching.folded(each["text"]) == key)
    return [("interest.drop", {"interest": each["id"]}) for each in known]


def _board(_inquiry: Inquiry, clause: str) -> list[Wanted]:
    said = _BOARD.match(clause)
    return [("board.add", {"text": said["text"], "board": said["board"].lower()})] if said else []


def _post(inquiry: Inquiry, clause: str) -> list[Wanted]:
    said = _POST.match(clause)
    post = _waiting(inquiry, said["what"]) if said else None
    return [(_VERBS[said["verb"].lower()], {"post": post})] if said and post else []


def _waiting(inquiry: Inquiry, what: str) -> int | None:
    """The waiting post with this id, or the best whose headline has all of these words."""
    if number := re.fullmatch(r"(?:post\s*)?#?(\d{1,18})", what.strip().lower()):
        return int(number[1])
    rows = queue.waiting(inquiry.session).values_list("pk", "title")[: queue.QUEUE_LIMIT]
    return _titled(list(rows), what)


def _titled(rows: list[tuple[int, str]], what: str) -> int | None:
    words = set(matching.folded(what).split()) - STOP_WORDS
    fits = (pk for pk, title in rows if words and words <= set(matching.folded(title).split()))
    return next(fits, None)


def _story(inquiry: Inquiry, clause: str) -> list[Wanted]:
    said = _STORY.match(clause)
    if said is None:
        return []
    number = re.fullmatch(r"(?:story\s*)?#?(\d{1,18})", said["what"].strip().lower())
    story = int(number[1]) if number else _titled(_known(inquiry.facts), said["what"])
    return [("story.bookmark", {"story": story, "on": True})] if story else []


def _known(facts: Facts) -> list[tuple[int, str]]:
    return [(each["story"], each["title"]) for each in [*facts.found, *facts.stories_waiting]]


_RULES: tuple[Rule, ...] = (
    _board, _post, _story, _pace, _personality, _verbosity, _language, _forget, _interest,
)  # fmt: skip
