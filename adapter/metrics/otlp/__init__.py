"""Pushing: what OpenTelemetry sends over gRPC and HTTP, decoded into points of Prometheus' data model."""
