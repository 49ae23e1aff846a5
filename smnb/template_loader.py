"""Loads the templates of this project without the indentation of their source."""

from __future__ import annotations

import re

from django.template import Origin
from django.template.loaders import filesystem

# The text in <pre> is displayed with its indentation.
INDENTATION = re.compile(r"(<pre\b.*?</pre>)|\n[ \t]+", re.DOTALL)


class Loader(filesystem.Loader):
    """Removes the indentation, which would double the size of a frame with many rows.

    Line breaks remain, so line numbers in error messages are right. Values are not changed.
    """

    def get_contents(self, origin: Origin) -> str:
        contents: str = super().get_contents(origin)
        return INDENTATION.sub(lambda match: match[1] or "\n", contents)
