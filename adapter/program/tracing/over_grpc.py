"""A message of spans to a collector by OTLP over gRPC, without TLS as Kubernetes' own components send theirs."""

from typing import Any, Final

import grpc

from adapter.program.tracing import send
from adapter.program.tracing.export import NotSentError

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Grpc:
    """OTLP over gRPC."""

    def __init__(self, endpoint: str) -> None:
        options = [("grpc.max_receive_message_length", send.MOST_ANSWERED), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.aio.insecure_channel(endpoint, options=options)
        self._export: Any = self._channel.unary_unary(METHOD)

    async def send(self, message: bytes) -> int:
        """See `Sender`."""
        try:
            return send.rejected_spans(await self._export(message, timeout=send.TIMEOUT))
        except grpc.aio.AioRpcError as error:
            raise NotSentError(f"{error.code().name}: {error.details()}"[:300]) from None

    async def close(self) -> None:
        """See `Sender`."""
        await self._channel.close()
