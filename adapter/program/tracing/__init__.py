"""Sending spans (`adapter.spans`) to an OpenTelemetry collector, where the operator asks for it.

It decides nothing about what is traced, and whatever the collector does costs the program no more than a bounded queue.
"""
