"""The formula of the Horizontal Pod Autoscaler: what it will decide, from which values, and why.

Pure: no network, no clock, no event loop. Time is an argument and decisions are values.
"""
