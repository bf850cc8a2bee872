"""A message of spans to a collector by OTLP over HTTP. No redirect is followed, an answer is bounded."""

from typing import Final

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from adapter.metrics.bounded import BodyError, read_body
from adapter.program.tracing.config import Tracing
from adapter.program.tracing.export import NotSentError, Sender

TIMEOUT: Final = 5.0
"""s for one message to be sent and answered."""
MOST_ANSWERED: Final = 1 << 16
"""Bytes of an answer."""
FORM: Final = {"Content-Type": "application/x-protobuf", "Accept-Encoding": "identity", "User-Agent": "streamgate"}


class Http:
    """OTLP over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), auto_decompress=False)

    async def send(self, message: bytes) -> int:
        """See `Sender`."""
        try:
            async with self._session.post(self._url, data=message, headers=FORM, allow_redirects=False) as response:
                if response.status != 200:
                    raise NotSentError(f"it answered {response.status}")
                body = await read_body(response.content.iter_any(), MOST_ANSWERED)
        except TimeoutError:
            raise NotSentError(f"no answer within {TIMEOUT:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotSentError(_why(error)) from None
        return rejected_spans(body)

    async def close(self) -> None:
        """See `Sender`."""
        await self._session.close()


def sender(config: Tracing) -> Sender:
    """The way to the collector that `config` names."""
    if config.url:
        return Http(config.url)
    from adapter.program.tracing.over_grpc import Grpc  # gRPC takes memory that OTLP/HTTP does not

    return Grpc(config.endpoint)


def _why(error: Exception) -> str:
    if isinstance(error, BodyError):
        return f"it answered, but {error}"
    return f"it cannot be reached: {error}"[:300]


def rejected_spans(body: bytes) -> int:
    """How many spans the collector rejected, by the body of its answer; 0 where that cannot be read."""
    try:
        return max(int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans), 0)
    except DecodeError:
        return 0
