"""Listening for HTTP within bounds: how many connections, how much of each, and for how long.

Everything that our programs listen on but gRPC is opened here. It knows nothing of what is served.
"""
