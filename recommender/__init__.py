"""The recommender: how much CPU and memory each container needs; VPA-compatible.

Stands on the ground floor only (`adapter.kube`, `adapter.metrics`, `adapter.hpa`).
"""
