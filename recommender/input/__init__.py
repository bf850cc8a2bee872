"""The doors in: usage from metrics APIs, files and Prometheus' history, OOM kills, and the pods behind a targetRef."""
