"""Settings in, wired objects out: the cluster, the source of values, the server.

The only place of the adapter that wires; nothing here parses or decides.
"""
