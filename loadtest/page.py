"""Pages of docs/ whose figures a script writes."""

from collections.abc import Mapping
from pathlib import Path


def rewrite(document: Path, parts: Mapping[str, str], script: str) -> None:
    """Put each part between its two marks, `<!-- NAME: written by SCRIPT -->` and `<!-- end of NAME -->`."""
    text = document.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}: written by {script} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{part}\n{end}{rest.split(end)[1]}"
    document.write_text(text, encoding="utf-8")
