"""Pictures of pages by a browser of this machine (Debian's `chromium`), without a window."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

INTO: Final = Path(__file__).parent.parent / "docs" / "img"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT: Final = 120.0


def find_browser() -> str:
    """The first of BROWSERS that is here; '' where none is."""
    return next(filter(shutil.which, BROWSERS), "")


def pictures(about: str | None, take: Callable[[str, Path], None]) -> int:
    """A command that takes pictures: `take` gets the program and an absolute folder. Returns the exit code."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=find_browser(), help="its program")
    parser.add_argument("--into", type=Path, default=INTO, help="the folder (docs/img)")
    given = parser.parse_args()
    if not given.browser or not shutil.which(given.browser):
        print(f"no browser: one of {', '.join(BROWSERS)} is wanted, or --browser", file=sys.stderr)
        return 2
    take(given.browser, given.into.absolute())
    return 0


def picture(browser: str, url: str, target: Path, *, width: int, height: int) -> None:
    """One picture of the page's top, px. `target` is absolute."""
    _run(browser, f"--window-size={width},{height}", f"--screenshot={target}", url)


def dom(browser: str, url: str) -> str:
    """The page as markup, five seconds of its scripts later."""
    return _run(browser, "--virtual-time-budget=5000", "--dump-dom", url)


def _run(browser: str, *more: str) -> str:
    """What it prints."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command = [browser, *flags, *more]
        done = subprocess.run(command, check=True, timeout=TIMEOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout.decode()
