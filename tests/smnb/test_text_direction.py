"""Every element that shows text from outside lets the text decide its direction."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.template_lines import TEMPLATES

# What feeds, people and models write: headlines, texts, names, topics and credits.
FOREIGN = {
    *("story.title", "story.narrative", "story.summary", "post.title", "post.story.title"),
    *("original.title", "row.title", "episode.title", "note.title", "run.title", "post.outlet"),
    *("recap.title", "recap.summary", "thread.title", "trace.story.title", "session.name"),
    *("row.session.name", "topic", "keyword", "keyword.text", "interest.text", "trend.label"),
    *("message.text", "answer.text", "data.message.text", "draft.name", "version.text"),
    *("version.title", "each.title", "each.credit", "feed.title", "link.summary"),
    *("passage.text", "sentence.text", "story.correction", "note.correction", "each.text"),
}
# Names that mean such a text in one template only.
FOREIGN_IN = {
    "studio/broadcast_center/_narration.html": {"title", "text"},
    "studio/sessions/_switcher_list.html": {"row.name"},
    "studio/drafting/_diff.html": {"text"},
    "studio/drafting/_boards.html": {"row.label"},
    "studio/market/_market_table.html": {"row.label"},
    "studio/search/_results.html": {"text"},
}
_ATTRIBUTES = r"""((?:\{\{.*?\}\}|\{%.*?%\}|"[^"]*"|'[^']*'|[^<>"'])*)"""
_TOKEN = re.compile(
    rf"\{{\{{\s*([\w.]+).*?\}}\}}|\{{%.*?%\}}|\{{#.*?#\}}|<(/?)([a-zA-Z][\w-]*){_ATTRIBUTES}>",
    re.DOTALL,
)
_VOID = {"br", "img", "input", "hr", "meta", "link", "source", "path", "rect", "circle", "line"}
# Not shown as text, or only read aloud; or replaced by what they contain.
_UNSEEN = ("title", "script", "option", "svg", "textarea")
_UNSEEN_ATTRIBUTES = re.compile(r'class="[^"]*\bsr\b|id="announce"|hx-swap-oob="innerHTML:')
# Inside a line whose element has the attribute.
_INLINE = {"mark", "del", "ins", "b", "strong", "em"}


def shown(template: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each variable of a template with the elements around it, the innermost last."""
    around: list[tuple[str, str]] = []
    for token in _TOKEN.finditer(template):
        variable, slash, tag, attributes = token.groups()
        if variable:
            yield variable, [*around]
        elif slash:
            while around and around.pop()[0] != tag:
                pass
        elif tag and tag not in _VOID and not attributes.endswith("/"):
            around.append((tag, attributes))


def missing(name: str, template: str) -> list[str]:
    foreign = FOREIGN | FOREIGN_IN.get(name, set())
    found = []
    for variable, around in shown(template):
        if variable not in foreign or not around:
            continue
        if any(tag in _UNSEEN or _UNSEEN_ATTRIBUTES.search(given) for tag, given in around):
            continue
        tag, given = next(pair for pair in reversed(around) if pair[0] not in _INLINE)
        if 'dir="auto"' not in given and tag != "bdi":
            found.append(f"{name}: {{{{ {variable} }}}} in <{tag}>")
    return found


def test_text_from_outside_has_its_own_direction() -> None:
    found = []
    for path in sorted(TEMPLATES.rglob("*.html")):
        name = path.relative_to(TEMPLATES).as_posix()
        if not name.startswith(("admin/", "docs/")):
            found += missing(name, path.read_text("utf-8"))
    assert found == []


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ("<h3>{{ story.title }}</h3>", 1),
        ('<h3 dir="auto">{{ story.title|truncatechars:80 }}</h3>', 0),
        ('<div dir="auto"><p>{{ story.narrative }}</p></div>', 1),
        ('<p dir="auto"><mark>{{ story.title }}</mark></p>', 0),
        ("<p>On air: <bdi>{{ story.title }}</bdi></p>", 0),
        ('<a title="{{ story.title }}">x</a>', 0),
        ('<span class="sr">{{ story.title }}</span>', 0),
        ("<p>{{ story.word_count }}</p>", 0),
        ('<br><a href="{% url x %}">{{ topic }}</a>', 1),
    ],
)
def test_the_check_finds_what_is_missing(template: str, count: int) -> None:
    assert len(missing("x.html", template)) == count


def test_every_listed_name_is_still_shown_somewhere() -> None:
    variables = {
        variable
        for path in TEMPLATES.rglob("*.html")
        for variable, _around in shown(path.read_text("utf-8"))
    }
    assert variables >= FOREIGN
