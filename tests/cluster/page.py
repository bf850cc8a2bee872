"""The commands of a page of docs/, typed as its reader types them."""

import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Final, NamedTuple

from tests.cluster.adapter import ROOT
from tests.cluster.bed import Bed

INSTALL: Final = ROOT / "docs" / "install.md"
TUTORIAL: Final = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^(?P<not_run><!-- not run -->\n)?```bash\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL)
NO_COMMANDS = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(?P<text>.*)$")
INDENT: Final = "    "
LONGEST: Final = 420.0
"""s that one block may take; `streamgate-rollout wait` itself gives up after 5 minutes."""
BACKGROUND: Final = re.compile(r"&$", re.MULTILINE)
"""The end of a line that goes on beside the shell; nobody types the next one within the same second."""


class Block(NamedTuple):
    """Lines that stand together under a heading."""

    heading: str
    script: str


def fenced_scripts(page: Path) -> list[str]:
    """The scripts in fences of `bash`, but for those marked as about the reader's own cluster."""
    return [match["script"] for match in FENCE.finditer(page.read_text()) if not match["not_run"]]


def indented_blocks(page: Path) -> list[Block]:
    """The scripts that stand as indented blocks, in the page's order."""
    blocks: list[Block] = []
    heading, lines = "", list[str]()
    for line in [*NO_COMMANDS.sub("", page.read_text()).splitlines(), ""]:
        if line.startswith(INDENT):
            lines.append(line)
        elif lines:
            blocks.append(Block(heading, textwrap.dedent("\n".join(lines)) + "\n"))
            lines = []
        if match := HEADING.match(line):
            heading = match["text"]
    return blocks


def under(page: Path, heading: str) -> list[str]:
    """The indented scripts under this heading."""
    scripts = [block.script for block in indented_blocks(page) if block.heading == heading]
    assert scripts, f"{page.name} has no commands under {heading!r}"
    return scripts


def shell_of(bed: Bed) -> dict[str, str]:
    """The environment of a shell that has the bed's kubectl and our programs."""
    places = [str(ROOT / ".venv" / "bin"), str(bed.program.parent), os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(places), "KUBECONFIG": str(bed.kubeconfig)}


def run_script(script: str, shell: dict[str, str]) -> str:
    """Runs it in a shell that stops at the first failure; what it prints. Its background jobs end with it."""
    paced = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + BACKGROUND.sub("& sleep 3", script)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", paced], cwd=ROOT, env=shell, timeout=LONGEST,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout
