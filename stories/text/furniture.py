"""What platforms and publishers put around a post, and the placeholders they put in its place.

Every pattern matches a whole line, or the end of one, and reads a bounded part of it.
"""

from __future__ import annotations

import re
from functools import cache

REMOVED = "Removed at the source."
PLACEHOLDER = "The source shows only a placeholder for this post."
NOTHING_LEFT = "The post has no text of its own, only links and buttons."
REASONS = (REMOVED, PLACEHOLDER, NOTHING_LEFT)

_LONGEST = 400  # characters of a line that can be furniture
_TAILS = 4  # pieces of furniture at the end of one line
_END = r"[\s.…!>»→\u203a|-]*"


def _whole(*patterns: str) -> str:
    return rf"(?:{'|'.join(patterns)}){_END}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiles a pattern at its first use, as all of them take 60 ms and few processes need them."""
    return re.compile(pattern, re.IGNORECASE)


_MARKED_GONE = (
    r"\[\s?(?:removed|deleted|unavailable|deleted by (?:the )?(?:user|author))\s?\]",
    r"\[\s?removed by (?:reddit|(?:a |the )?mod\w*|(?:an )?admin\w*)(?: [^\[\]]{0,100})?\s?\]",
    r"(?:removed|deleted) by (?:reddit|(?:a |the )?moderators?|(?:the )?user)",
)
_GONE_TITLE = _whole(*_MARKED_GONE)
_GONE = _whole(
    *_MARKED_GONE,
    r"(?:sorry, )?this (?:post|comment|tweet|status|content|video) (?:was|has been|is)"
    r" (?:removed|deleted|unavailable|no longer available)(?: (?:by|for|due|because|as)\b.{0,150})?",
)

_EMBEDDED = r"\[contains quote post or other embedded content\]"
_PLACEHOLDER = _whole(
    _EMBEDDED,
    r"(?:@\S{1,60} )?(?:posted|shared|uploaded|added) (?:an?|some|\d{1,3}) (?:new )?"
    r"(?:videos?|photos?|pictures?|images?|gif|links?|posts?|status|story|reel|files?|poll)",
    r"(?:this )?(?:post|content|media|account|profile|video) is (?:hidden|private|protected"
    r"|not available|unavailable|age-restricted)(?: (?:from|for|because|due|in|to)\b.{0,120})?",
    r"(?:show |hidden: )?sensitive (?:content|media)(?: warning)?|content warning",
    r"(?:(?:quoted )?post|record) (?:not found|unavailable|blocked|deleted)|(?:blocked|deleted) post",
    r"(?:the author of this (?:quoted )?post|this author) has (?:requested|chosen)\b.{0,160}",
    r"(?:please )?(?:log|sign) in to (?:view|see|read)\b.{0,100}",
    r"[\[(]?(?:no title|untitled|no subject|no description|no content|no text)[\])]?",
    r"\[(?:image|video|photo|picture|gif|media|audio|embed\w*|quote|gallery|poll)\]",
    r"processing (?:img|image|video)\b.{0,80}|view poll|view (?:post|on|in) \S{1,30}",
)

_REDDIT_FOOTER = (
    r"submitted by {1,3}(?:/?u/)?\S{1,40}(?: to (?:/?r/)?\S{1,40})?(?: \[link\])?(?: \[\d* ?comments?\])?",
    r"\[link\](?: {0,3}\[\d* ?comments?\])?|\[\d* ?comments?\]",
)
_REDDIT = (
    *_REDDIT_FOOTER,
    r"\(?(?:x-?post|cross-?post)(?:ed)? (?:from|to) \S{1,60}\)?|comments|discuss(?:ion)?",
    r"(?:beep[, ]?boop[.!, ]{1,3})?i(?: a|['\u2019])m a bot\b.{0,300}",
    r"edit ?\d* ?[:\u2013-].{0,40}\b(?:thanks?|thank you|gold|silver|awards?|upvotes?|typos?"
    r"|spelling|grammar|format\w*|blew up|front ?page|inbox|rip|wow)\b.{0,160}",
)
_HACKER_NEWS = (
    r"(?:article|comments) url: ?\S{0,300}",
    r"points: ?\d{1,7}",
    r"# ?comments: ?\d{1,7}",
)
_CONTINUE = (
    r"(?:continue|keep) reading\b.{0,150}|read on",
    r"read more(?: (?:at|on|about|here|from|in|of)\b.{0,100})?",
    r"read (?:the )?(?:full|whole|entire|rest of the|complete) (?:article|story|post|report)\b.{0,80}",
    r"to read (?:this|the) (?:article|story) in full\b.{0,60}|(?:click|tap) here (?:to|for)\b.{0,80}",
    r"(?:view|see) (?:the )?(?:full|original) (?:article|post|story)\b.{0,60}|full (?:story|article)",
    r"weiterlesen|mehr lesen|\[mehr\]|lire la suite|leer m[aá]s|seguir leyendo|leggi tutto",
    r"continua a leggere|ler mais|leia mais|lees (?:verder|meer)|l[aä]s mer|les mer|читать далее",
    r"[\[(](?:…|\.\.\.|read more|more|continue)[\])]",
)
_FIRST_ON = (
    r"the (?:post|article) .{1,250}(?:appeared first|first appeared) (?:on|at) .{1,120}",
    r"der beitrag .{1,250}erschien zuerst (?:auf|bei) .{1,120}",
    r"l['\u2019]article .{1,250}est apparu en premier sur .{1,120}",
    r"(?:la entrada|el art[ií]culo) .{1,250}(?:se public[oó]|apareci[oó]) primero en .{1,120}",
    r"l['\u2019]articolo .{1,250}(?:proviene da|sembra essere il primo su) .{1,120}",
    r"o post .{1,250}apareceu primeiro em .{1,120}|het bericht .{1,250}verscheen eerst op .{1,120}",
)
_NOTICES = (
    r"(?:advertisement|advertorial|sponsored(?: content)?|promoted|anzeige|werbung|publicit[eé])",
    r"(?:story|article|text) continues (?:below|after)\b.{0,60}|scroll (?:down )?to continue\b.{0,40}",
    r"(?:we|this (?:web)?site|our (?:web)?site)(?: and our partners)? uses? cookies\b.{0,300}",
    r"by (?:continuing|using|clicking|browsing)\b.{0,80}\byou (?:agree|accept|consent)\b.{0,150}",
    r"(?:accept|reject|manage|allow)(?: all)?(?: my)? (?:cookies|consent|preferences)",
    r"cookie (?:settings|policy|notice)",
    r"sign up (?:here\b|(?:for|to)\b.{0,80}\b(?:our|newsletters?|inbox|e-?mails?|briefing)\b).{0,160}",
    r"(?:get|receive|want)\b.{0,100}\b(?:newsletters?|(?:in|to) your inbox)\b.{0,120}",
    r"subscribe(?: now| today| here| for free)?",
    r"subscribe (?:to|for) (?:our|unlimited|full access|more)\b.{0,120}",
    r"subscribe to (?:the|this)\b.{0,60}\b(?:newsletter|podcast|channel|magazine|briefing)\b.{0,60}",
    r"(?:already|not yet) an? (?:subscriber|member)\?.{0,60}|(?:sign|log) in|create an account",
    r"this (?:article|story|content|post) is (?:only )?(?:for|available to) (?:paying |our )?"
    r"(?:subscribers|members)\b.{0,60}|(?:subscribers|members) only",
    r"support (?:our|independent) journalism\b.{0,120}|donate(?: now)?",
    r"(?:follow|like|find|join|add) us (?:on|at)\b.{0,80}|download (?:our|the) app\b.{0,80}",
    r"join our\b.{0,60}\b(?:channel|group|community|newsletter|discord|telegram|whatsapp)\b.{0,60}",
    r"all rights reserved.{0,60}|(?:copyright )?(?:©|\(c\)) ?\d{4}\b.{0,120}",
    r"\(?(?:image|photo|picture) (?:credit|source)s?: ?.{1,120}\)?|\(?(?:getty images|shutterstock)\)?",
    r"content warning: ?.{1,120}",
)
_NETWORK = (
    r"(?:facebook|twitter|x|linkedin|whatsapp|pinterest|reddit|tumblr|telegram|pocket|e-?mail|print"
    r"|tweet|copy link|mastodon|bluesky|threads|flipboard|messenger|instagram|more|save|share)"
)
_SHARING = (
    rf"{_NETWORK}(?:[ ,|/·•]{{1,3}}{_NETWORK}){{0,15}}",
    r"tweet|share|print|e-?mail(?: this)?|copy link|pin it",
    r"share (?:this|the)(?: (?:post|article|story|page|video))?:?(?: (?:on|via|with)\b.{0,80})?",
    rf"share (?:on|via) {_NETWORK}|(?:click|tap) to (?:share|e-?mail|print)\b.{{0,80}}",
    r"like this:?|like loading|loading|related:?|related (?:articles|stories|posts|topics):?",
    r"you may also like:?",
)
_FURNITURE = _whole(*_REDDIT, *_HACKER_NEWS, *_CONTINUE, *_FIRST_ON, *_NOTICES, *_SHARING)

# What may follow the last sentence on its line.
_TAIL = (
    r"(?:^|(?<=[.!?…:\"'\u201d\u2019)\]。]))\s*(?:"
    + "|".join((*_REDDIT_FOOTER, *_CONTINUE, *_FIRST_ON, _EMBEDDED))
    + f"){_END}$"
)

# Sentences for those who read the page.
_UNSPOKEN = _whole(r"(?:edit|eta)(?: ?\d+)?:.*", r"tl;? ?dr\b.*")


def is_furniture(line: str) -> bool:
    """Whether a line or sentence tells nothing of the post: a credit, a button, a notice."""
    return _is(line, _FURNITURE, _PLACEHOLDER, _GONE)


def is_placeholder(title: str) -> bool:
    """Whether a platform made the title: "Posted a video", "[deleted by user]", "Untitled"."""
    return _is(title, _PLACEHOLDER, _GONE_TITLE)


def is_unspoken(sentence: str) -> bool:
    """Whether a sentence is not read aloud: furniture, "Edit:" and "TL;DR"."""
    return is_furniture(sentence) or bool(_compiled(_UNSPOKEN).match(sentence.strip()))


def without_furniture(text: str) -> str:
    """Returns ``text`` without lines and ends of lines that are furniture."""
    lines = []
    for raw in text.split("\n"):
        line = raw
        for _ in range(_TAILS):
            tail = _compiled(_TAIL).search(line, max(len(line) - _LONGEST, 0))
            if tail is None:
                break
            line = line[: tail.start()].rstrip()
        lines.append("" if is_furniture(line) else line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def reason_to_skip(title: str, text: str) -> str:
    """Returns why a post has nothing to tell, or ""; ``text`` is what the source gave."""
    left = without_furniture(text)
    gone = not left and any(_is(line, _GONE) for line in text.split("\n"))
    if gone or _is(title, _GONE_TITLE):
        return REMOVED
    if left or (title and not is_placeholder(title)):
        return ""
    return PLACEHOLDER if is_placeholder(title or text) else NOTHING_LEFT


def _is(line: str, *patterns: str) -> bool:
    line = line.strip()
    return 0 < len(line) <= _LONGEST and any(
        _compiled(pattern).fullmatch(line) for pattern in patterns
    )
