"""Checkpoints in VPA's own format: encoded, decoded, and kept in the Kubernetes API."""
