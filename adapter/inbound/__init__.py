"""Listening for HTTP within bounds: how many connections, how much of each, and for how long.

Everything that our programs listen on is opened here; what speaks gRPC is handed on. It knows nothing of what is
served.
"""
