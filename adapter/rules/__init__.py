"""What the operator's file says: which series is which API metric, and which query asks for it.

Pure: no network, no clock, no event loop. Reads prometheus-adapter's file format; never asks a source itself.
"""
