"""The aggregated API server: who may ask, what is on offer, and the answers on the wire.

Reads values through `collect`; never asks Prometheus or lists pods itself.
"""
