"""Pages of docs/ whose figures a script writes."""

import re
from collections.abc import Mapping
from pathlib import Path


class PageError(Exception):
    """A page has no such part; one sentence with the page, what is wrong and what would be right."""


def rewrite(document: Path, parts: Mapping[str, str], script: str) -> None:
    """Put each part between its two marks, `<!-- NAME: written by SCRIPT -->` and `<!-- end of NAME -->`.

    Raises PageError where a part is not there once; then nothing is written.
    """
    text = document.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}: written by {script} -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not closed or begin in rest:
            there = ", ".join(re.findall(rf"<!-- (\S+): written by {re.escape(script)} -->", text))
            raise PageError(
                f"{document}: {begin} and after it {end} are not there once, so that the figures have no place;"
                f" {f'one of {there}' if there else 'these two marks'} would be right"
            )
        text = f"{before}{begin}\n{part}\n{end}{after}"
    document.write_text(text, encoding="utf-8")
