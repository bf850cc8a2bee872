"""Checkpoints, VPA's own format: encoded and decoded, kept in the Kubernetes API, read from exported files."""
