"""A Prometheus-compatible HTTP API as a source: its client, and its answers on the wire."""
