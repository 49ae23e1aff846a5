"""Requests by rule: turns plain English sentences into commands to propose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from broadcast.chat.facts import Inquiry, Suggestion
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories.market.ngrams import STOP_WORDS
from stories.posts import queue, scoring
from stories.text.cleaning import cut
from stories.text.sentences import sentences, word_set

# A rule returns the commands that a clause asks for; none when it does not apply.
Rule = Callable[[Inquiry, str], list[Suggestion]]

_SPACES = re.compile(r"\s+")
_WORDS = re.compile(r"[^\W_]+")
# These see a text without runs of spaces, which an expression could read again from each of them.
_CLAUSE_END = re.compile(r"[.;!\n]+ ?|, ?|(?<=\?) |\s(?:and|but|then|also)\s", re.IGNORECASE)
_POLITE = re.compile(
    r"^(?:and|but|also|then|please|can you|could you|would you|will you|can we|could we|may we"
    r"|i want(?: you)? to|i want|i would like(?: you)? to|i would like|i'd like(?: you)? to|i'd like"
    r"|we want|let's|let us|tell|give us|give me|have|get|make it|be|sound|go|a bit|a little|just|now)\s"
    r"|\s(?:please|now|thanks|thank you|for me|okay|ok)$",
    re.IGNORECASE,
)
_REQUEST = re.compile(r"(?:please|can|could|would|will|may)\b(?! you tell| i)", re.IGNORECASE)
_TAGS = (
    "arabic:ar chinese:zh czech:cs danish:da dutch:nl english:en finnish:fi french:fr "
    "german:de greek:el hindi:hi hungarian:hu italian:it japanese:ja korean:ko "
    "norwegian:no polish:pl portuguese:pt romanian:ro spanish:es swedish:sv turkish:tr "
    "ukrainian:uk"
)
LANGUAGES = dict(pair.split(":") for pair in _TAGS.split())
_SHOW = r"(?:the |this |our )?(?:broadcast(?:ing)?|show|session|stream(?:ing)?|programme?|it|everything)"
_STOP = re.compile(
    r"(?:stop|end|finish|wrap up|wrap it up|sign off|off(?: the)? air|take us off(?: the)? air"
    r"|shut (?:it|us|everything) down)"
    rf"(?: {_SHOW})?"
    r"(?: (?:now|immediately|at once|right(?: now| away)?|after (?:this|the current) (?:story|one)"
    r"|(?:when|once) (?:this|the) (?:story|one) (?:ends|is over|is done|has ended)))?"
)
_AT_ONCE = re.compile(r"\b(?:now|immediately|at once|right away)\b", re.IGNORECASE)
_START = re.compile(
    r"(?:(?:(?:take |put |bring )?us )?(?:live|(?:back )?on(?: the)? air)"
    rf"|(?:start|begin|resume|restart)(?: {_SHOW})?(?: again)?)"
)
_RECOVER = re.compile(rf"(?:recover|resume|restart)(?: (?:the )?run| {_SHOW})?")
_UNDO = re.compile(
    r"(?:undo(?: (?:that|it|the stop))?|(?:do not|don't) stop(?: (?:it|the broadcast|the show))?"
    r"|cancel the stop|stay (?:live|on(?: the)? air)|keep (?:going|broadcasting)|carry on)"
)
_DECIDE = re.compile(
    r"(?P<verb>approve|veto|reject|decline)(?: (?P<what>.{1,120}))?", re.IGNORECASE
)
_PULL = re.compile(
    r"(?P<verb>pull|kill|cut|spike|retract|take) (?P<what>.{1,120}?)"
    r"(?P<off> down| off(?: the)? air)?",
    re.IGNORECASE,
)
# What the words "it" and "this story" mean depends on the verb.
_IT = re.compile(
    r"(?:it|this|that|(?:this|that|the) (?:one|story|post|item)|the (?:next|first|waiting|current) "
    r"(?:one|story|post|item)|(?:the )?(?:story|one)(?: that is|'s)? on(?: the)? air)",
    re.IGNORECASE,
)
_BREAK_IN = re.compile(
    r"^(?:please )?(?P<how>break in|interrupt|breaking news)(?P<now> now| at once)?"
    r"(?:\s?[:,]| with:?| to say(?: that)?:?)\s(?P<text>.{8,600})$",
    re.IGNORECASE | re.DOTALL,
)
_FIRST = re.compile(
    r"(?:move|put|bring|bump|do|run|read|play) (?P<what>.{1,120}?) (?:to the (?:top|front)|first|next)",
    re.IGNORECASE,
)
_ON_HOLD = re.compile(r"put (?P<what>.{1,120}?) on hold", re.IGNORECASE)
_SHORT = re.compile(r"\b(?:concise|shorter|brief(?:er)?|less detail(?:s|ed)?|fewer words)\b")
_LONG = re.compile(r"\b(?:comprehensive|much longer|all the details)\b")
_DETAILED = re.compile(r"\b(?:detailed|longer|more detail(?:s|ed)?)\b")
_WPM = re.compile(r"\b(\d{2,4})\s*(?:wpm|words (?:a|per) minute)\b")
_TOO_SLOW, _TOO_FAST = re.compile(r"\btoo slow"), re.compile(r"\b(?:too|not so) (?:fast|quick)")
_SLOWER = re.compile(r"\bslow(?:er|ly)?\b")
_FASTER = re.compile(r"\b(?:faster|quick(?:er|ly)|speed(?: it| things)? up|pick up)\b")
_ABOUT = (
    r"(?:(?:stories|news|coverage|posts|detail|details) )?(?:of |about |on |from |with )?(?:the )?"
)
_MORE = re.compile(
    rf"^(?:(?:much |some |hear )?more|(?:cover|focus on|concentrate on)(?: more)?) {_ABOUT}"
    r"(?P<of>.{2,60})$"
)
_LESS = re.compile(
    r"^(?:much less|less|fewer|no more|no|without|enough|stop|stop covering|(?:do not|don't) cover"
    rf"|avoid|leave out|cut down on) {_ABOUT}(?P<of>.{{2,60}})$"
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
_POST = re.compile(
    r"^(?P<verb>pin|hold back|hold|park|postpone|kill|skip|release)\s+(?P<what>.{1,120})$",
    re.IGNORECASE,
)
_STORY = re.compile(r"^bookmark\s+(?P<what>.{1,120})$", re.IGNORECASE)
_INSTRUCT = re.compile(
    r"\b(?:instructions?(?: for the host)?:|tell the host to)\s*(?P<text>.{3,500})$",
    re.IGNORECASE | re.DOTALL,
)
_POST_COMMANDS = {
    "pin": "post.pin",
    "hold": "post.hold",
    "hold back": "post.hold",
    "park": "post.hold",
    "postpone": "post.hold",
    "release": "post.release",
    "kill": "post.kill",
    "skip": "post.kill",
}
# A request for the host's manner has no other words than these and stop words.
_PACE_WORDS = word_set(
    "slow slower slowly fast faster quick quicker quickly speed pace pick hurry down bit little wpm "
    "words word minute speak talk read narrate host tempo slightly lot make keep set reading please"
)
_MANNER_WORDS = word_set(
    "formal conversational analytical energetic tone style manner voice host sound bit little lot "
    "concise short shorter brief briefer detail details detailed less fewer long longer comprehensive "
    "stories story keep make tell words report reports please"
)
_PRONOUNS = word_set("it me us you them him her this that")
# Words that may follow "more" and "less" without naming a subject.
_NO_SUBJECT = STOP_WORDS | word_set(
    "stories slowly quickly fast slow formal detail details detailed problem worries idea matter doubt "
    "kidding already need way"
)


def suggestions(inquiry: Inquiry) -> list[Suggestion]:
    """Returns the commands that a text asks for, in its order; none for a question."""
    text = inquiry.text.strip()
    if match := _INSTRUCT.search(text):
        return [setting(instructions=match["text"].strip())]
    if words := break_in(text):
        return [words]
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
    requested = False
    for part in _CLAUSE_END.split(text):
        clause = part.strip()
        # "Can you go faster, and be brief?" asks for both.
        requested = requested or bool(_REQUEST.match(clause))
        if requested and clause.endswith("?"):
            clause, requested = clause.rstrip("? "), False
        # Bounded, because each round reads the whole clause.
        for _ in range(10):
            clause = _POLITE.sub("", clause).strip()
        if clause and not clause.endswith("?"):
            yield clause


def only(clause: str, words: frozenset[str]) -> bool:
    """Whether a clause has no other words than these, stop words and numbers."""
    found = _WORDS.findall(clause.lower())
    return all(word in words or word in STOP_WORDS or word.isdecimal() for word in found)


def break_in(text: str) -> Suggestion | None:
    """Returns the command for a break-in with the words that follow it; None for another text."""
    match = _BREAK_IN.match(text)
    if match is None:
        return None
    words = _SPACES.sub(" ", match["text"]).strip()
    words = words[0].upper() + words[1:]
    now = bool(match["now"]) or match["how"].lower() == "interrupt"
    return "story.break_in", {"title": cut(sentences(words)[0], 120), "text": words, "now": now}


def run_command(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    """Starts, stops or recovers the broadcast, or withdraws a stop."""
    text = clause.lower()
    if _RECOVER.fullmatch(text) and inquiry.facts.state == "error":
        return [("broadcast.recover", {})]
    if _START.fullmatch(text):
        return [("broadcast.start", {})]
    if _UNDO.fullmatch(text):
        return [("broadcast.undo_stop", {})]
    if _STOP.fullmatch(text):
        when = "now" if _AT_ONCE.search(inquiry.text) else "story"
        return [("broadcast.ask_to_stop", {"when": when})]
    return []


def decision(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    """Approves or vetoes a waiting story: the first one, or the one with these words."""
    match = _DECIDE.fullmatch(clause)
    if match is None:
        return []
    name = "veto" if match["verb"].lower() in {"veto", "reject", "decline"} else "approve"
    rows = [row for row in inquiry.facts.stories_waiting if row["state"] == "written"]
    what = match["what"]
    if what is None or _IT.fullmatch(what):
        found = rows[0]["story"] if rows else None
    else:
        found = numbered(what) or with_title([(row["story"], row["title"]) for row in rows], what)
    # Without one the command is refused with a sentence that says so.
    return [(f"story.{name}", {"story": found or 0})]


def pull(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    """Takes a story off the air: the one on air, or the one with these words."""
    match = _PULL.fullmatch(clause)
    if match is None or (match["verb"].lower() == "take" and not match["off"]):
        return []
    if _IT.fullmatch(match["what"]):
        return [("story.kill", {"story": inquiry.facts.on_air_story or 0})]
    if match["verb"].lower() not in {"pull", "retract"} and not match["off"]:
        return []
    known = [*inquiry.facts.found, *inquiry.facts.stories_waiting]
    titles = [(row["story"], row["title"]) for row in known]
    found = numbered(match["what"]) or with_title(titles, match["what"])
    return [("story.kill", {"story": found or 0})]


def numbered(what: str) -> int | None:
    """Returns the id in "story 12", "post 12" or "#12"."""
    match = re.fullmatch(r"(?:(?:story|post)\s*)?#?(\d{1,18})", what.strip().lower())
    return int(match[1]) if match else None


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
    if not only(text, _PACE_WORDS):
        return []
    if match := _WPM.search(text):
        return [setting(pace=int(match[1]))]
    faster = _TOO_SLOW.search(text) or _FASTER.search(text)
    slower = not _TOO_SLOW.search(text) and (_SLOWER.search(text) or _TOO_FAST.search(text))
    if not slower and not faster:
        return []
    factor = 0.6 if "much" in text else 0.8
    changed = current * factor if slower else current / factor
    return [setting(pace=min(max(round(changed / 10) * 10, 60), 6000))]


def personality(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    for name in Session.Personality.values if only(clause, _MANNER_WORDS) else ():
        if re.search(rf"\b{name}\b", clause.lower()):
            return [setting(personality=name)]
    return []


def verbosity(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    lengths = ((_SHORT, "concise"), (_LONG, "comprehensive"), (_DETAILED, "detailed"))
    for pattern, length in lengths if only(clause, _MANNER_WORDS) else ():
        if pattern.search(clause.lower()):
            return [setting(verbosity=length)]
    return []


def language(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    match = re.fullmatch(
        r"(?:(?:speak|talk|read|narrate|continue|broadcast)(?: to us)? )?(?:in |use |switch to |speak )?"
        r"(?:the )?([a-z]+)(?: language)?",
        clause.lower(),
    )
    tag = LANGUAGES.get(match[1]) if match else None
    return [setting(language=tag)] if tag else []


def interest(_inquiry: Inquiry, clause: str) -> list[Suggestion]:
    text = clause.lower()
    for weight, pattern in (("more", _MORE), ("less", _LESS)):
        match = pattern.match(text)
        words = match["of"].split() if match else []
        # "Stop it from raining" names no subject either.
        if match and words[0] not in _PRONOUNS and not set(words) <= _NO_SUBJECT:
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
    if match := _FIRST.fullmatch(clause):
        verb, what = "pin", match["what"]
    elif match := _ON_HOLD.fullmatch(clause):
        verb, what = "hold", match["what"]
    elif match := _POST.match(clause):
        verb, what = match["verb"].lower(), match["what"]
    else:
        return []
    ready = inquiry.facts.held if verb == "release" else inquiry.facts.next
    if _IT.fullmatch(what):
        post_id = ready[0]["post"] if ready else None
    elif verb == "release":
        post_id = numbered(what) or with_title([(row["post"], row["title"]) for row in ready], what)
    else:
        rows = queue.waiting(inquiry.session).values_list("pk", "title")[: queue.QUEUE_LIMIT]
        post_id = numbered(what) or with_title(list(rows), what)
    return [(_POST_COMMANDS[verb], {"post": post_id})] if post_id else []


def story(inquiry: Inquiry, clause: str) -> list[Suggestion]:
    """Refers to a story by its id, or by words that are all in its title."""
    match = _STORY.match(clause)
    if match is None:
        return []
    known = [*inquiry.facts.found, *inquiry.facts.stories_waiting]
    titles = [(row["story"], row["title"]) for row in known]
    story_id = numbered(match["what"]) or with_title(titles, match["what"])
    if _IT.fullmatch(match["what"]):
        story_id = inquiry.facts.on_air_story
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
    run_command,
    decision,
    board,
    pull,
    post,
    story,
    pace,
    personality,
    verbosity,
    language,
    forget_interest,
    interest,
)
