"""The adapter: serves the custom, external and resource metrics APIs of Kubernetes.

`__main__` wires, `settings` says what can be set; the packages below are layers (see docs/architecture.md) and imports
between them go down only.
"""

__version__ = "0.1.0"
