"""What code makes under manifests/: Grafana's dashboards, and the alert rules for the Prometheus Operator.

`make dashboards` writes both; a test fails where a file is not what this would write.
"""
