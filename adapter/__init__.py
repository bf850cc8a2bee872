"""The adapter: serves the custom, external and resource metrics APIs of Kubernetes.

`settings` says what can be set, `wiring` makes objects of it, `__main__` runs them; the packages are layers (see
docs/architecture.md) and imports between them go down only.
"""

__version__ = "0.1.0"
