"""Load the templates of this project without the indentation of their source."""

from __future__ import annotations

import re

from django.template import Origin
from django.template.loaders import filesystem

# What stands in <pre> is shown as it is written.
INDENTATION = re.compile(r"(<pre\b.*?</pre>)|\n[ \t]+", re.DOTALL)


class Loader(filesystem.Loader):
    """Drops the indentation, which would double the bytes of a frame with many rows.

    Lines stay lines, so the numbers in error messages fit the file, and what a template is
    rendered with is left alone.
    """

    def get_contents(self, origin: Origin) -> str:
        contents: str = super().get_contents(origin)
        return INDENTATION.sub(lambda found: found[1] or "\n", contents)
