"""Pictures of the report's page for the docs, taken by a browser without a window: 1,000 and 1,600 px wide.

    python -m loadtest.report_pictures [--browser chromium]

The page is that of July's machines with the requests that they had. A browser is wanted on the machine (Debian's
`chromium`); nothing else here needs one, so this stands beside the tests and not among them.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from loadtest.browser import picture, pictures
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


def take(browser: str, into: Path) -> None:
    """All pictures."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_page(page)
        for width, name in PICTURES.items():
            picture(browser, page.as_uri(), into / name, width=width, height=HEIGHT)
            print(name)


if __name__ == "__main__":
    sys.exit(pictures(__doc__, take))
