"""A small Kubernetes API server in memory, on loopback. For tests alone: no program imports it."""
