"""Pictures of the report's page for the docs, taken by a browser without a window: 1,000 and 1,600 px wide.

    python -m loadtest.report_pictures [--browser chromium]

The page is that of July's machines with the requests that they had. A browser is wanted on the machine (Debian's
`chromium`); nothing else here needs one, so this stands beside the tests and not among them.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from loadtest.browser import BROWSERS, found, picture
from recommender.__main__ import main as recommender

ROOT: Final = Path(__file__).parent.parent
GOLDEN: Final = ROOT / "tests" / "golden" / "recommender"
PICTURES: Final = {1000: "recommender-report-1000.png", 1600: "recommender-report.png"}
"""By width, px."""
HEIGHT: Final = 1100


def write_page(path: Path) -> None:
    """The report's page."""
    usage, requests = GOLDEN / "bitbrains-rnd-2013-07.csv.gz", GOLDEN / "bitbrains-rnd-2013-07-requests.csv"
    prices = ("--price-core", "0.03", "--price-gib", "0.004")
    code = recommender(["report", str(usage), "--requests", str(requests), *prices, "--html", str(path)])
    if code:
        raise SystemExit(f"the report ended with {code}")


def main() -> int:
    """Writes docs/img; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=found(), help="its program")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "img", help="the folder")
    given = parser.parse_args()
    if not given.browser or not shutil.which(given.browser):
        print(f"no browser: one of {', '.join(BROWSERS)} is wanted, or --browser", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_page(page)
        for width, name in PICTURES.items():
            picture(given.browser, page.as_uri(), given.into.absolute() / name, width=width, height=HEIGHT)
            print(given.into / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
