"""A sample service to scale: a small HTTP server with settable work, Prometheus metrics and OTLP push.

Standard library only, so that an image of it needs nothing but an interpreter.
"""
