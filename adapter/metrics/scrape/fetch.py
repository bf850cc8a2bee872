"""One page of a target, within bounds of time and size."""

import ssl
from typing import NamedTuple

import aiohttp

from adapter.metrics.bounded import BodyError, read_body
from adapter.metrics.scrape.health import Failure, ScrapeError
from adapter.metrics.scrape.target import Target
from adapter.metrics.series_text import cut


class ScrapeLimits(NamedTuple):
    """What one scrape, and all of them, may take."""

    body_bytes: int = 10 * 2**20
    """After inflating."""
    total_s: float = 10.0
    """From the request to the last byte; at most the target's interval."""
    connect_s: float = 2.0
    concurrent: int = 64
    concurrent_slow: int = 16
    targets: int = 10_000
    samples: int = 50_000
    """Of one scrape."""


async def fetch(
    session: aiohttp.ClientSession, target: Target, limits: ScrapeLimits, within: float
) -> tuple[bytes, bool]:
    """The body, and whether it is OpenMetrics. Raises ScrapeError, after `within` s at the latest."""
    total = min(limits.total_s, within)
    timeout = aiohttp.ClientTimeout(total=total, sock_connect=limits.connect_s)
    headers = target.headers() if target.headers is not None else None
    try:
        async with session.get(
            target.url, headers=headers, ssl=target.ssl, timeout=timeout, allow_redirects=False
        ) as response:
            kind, encoding = (response.headers.get(name, "") for name in ("Content-Type", "Content-Encoding"))
            _check(response.status, kind, encoding)
            body = await read_body(response.content.iter_any(), limits.body_bytes, encoding == "gzip")
            return body, "openmetrics" in kind
    except TimeoutError as error:
        raise ScrapeError(f"no complete answer within {total:g} s", Failure.TIMEOUT) from error
    except BodyError as error:
        raise ScrapeError(str(error), Failure.ANSWER) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ScrapeError(f"no answer: {cut(str(error) or type(error).__name__, 200)}", _kind(error)) from error


def _kind(error: Exception) -> Failure:
    """Of a connection or an answer that could not be had."""
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch | ssl.SSLError):
        return Failure.CERTIFICATE
    broken = isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError | ValueError)
    return Failure.ANSWER if broken else Failure.UNREACHABLE


def _check(status: int, kind: str, encoding: str) -> None:
    """Raises ScrapeError."""
    if status != 200:
        failure = Failure.REFUSED if status in (401, 403) else Failure.STATUS
        followed = ", and redirects are not followed" * (300 <= status < 400)
        raise ScrapeError(f"it answered with status {status}{followed}", failure)
    if "html" in kind or "protobuf" in kind:
        told = f"it answered with {cut(kind)}, which is not text of Prometheus or OpenMetrics"
        raise ScrapeError(told, Failure.ANSWER)
    if encoding not in ("", "identity", "gzip"):
        told = f"it answered in the encoding {cut(encoding)}; only gzip was asked for"
        raise ScrapeError(told, Failure.ANSWER)
