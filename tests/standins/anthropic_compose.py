"""What the stand-in for Anthropic answers with: made from the prompt alone, the same every time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from stories.text.sentences import sentences

_BLOCK = re.compile(r"<([\w-]+)>\s*(\{.*\})\s*</\1>", re.DOTALL)
_NUMBER = re.compile(r"\[\d+\] ")
_PIECE = 17


def tokens_of(text: str) -> int:
    """As many tokens as the stand-in makes of ``text``: one for every four characters begun."""
    return (len(text) + 3) // 4


def text_of(content: str | list[dict[str, Any]]) -> str:
    """What a text, or a list of text blocks, says."""
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def pieces(text: str) -> Iterator[str]:
    """``text`` in the pieces it is streamed in; they cut words, escapes and sentences."""
    for at in range(0, len(text), _PIECE):
        yield text[at : at + _PIECE]


def composed(asked: dict[str, Any]) -> str:
    """An answer to the request ``asked``: JSON to its schema, or else prose."""
    title, body = _quoted(text_of(asked["messages"][-1]["content"]))
    text = " ".join(f"{part.rstrip('.')}." for part in (title, body) if part)
    schema = asked.get("output_config", {}).get("format", {}).get("schema")
    if schema is None:
        return text
    return json.dumps(_value(schema, "", title, text))


def _quoted(prompt: str) -> tuple[str, str]:
    """The title and the beginning of the body of the post in the prompt's delimited block, or of
    the stories in it.
    """
    found = _BLOCK.search(prompt)
    if found is None:
        return "An answer", " ".join(prompt.split())[:300]
    post = json.loads(found[2])
    rows = post.get("since") or post.get("stories")
    if isinstance(rows, list):
        return str(rows[0]["title"]), " ".join(row.get("text", "") for row in rows)[:300]
    text = _NUMBER.sub("", str(post.get("text", post.get("body", ""))))
    return str(post.get("title", "An answer")), " ".join(text.split())[:300]


def _marked(text: str) -> str:
    """``text`` as a model answers with it: after each sentence, the number of its own sentence."""
    return " ".join(f"{part} [{number}]" for number, part in enumerate(sentences(text)))


def _value(schema: dict[str, Any], name: str, title: str, text: str) -> Any:
    """A value that ``schema`` allows: texts from the post, the first of each enum."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema["properties"].items()
            return {key: _value(inner, key, title, text) for key, inner in properties}
        case "array":
            return [_value(schema["items"], name, word, word) for word in title.split()[:2]]
        case "integer" | "number":
            return len(text)
        case "boolean":
            return True
    if name == "narration":
        return _marked(text)
    return title if name == "title" else text
