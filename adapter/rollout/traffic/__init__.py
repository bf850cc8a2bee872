"""How a canary gets its share of the traffic: by the number of pods, by an HTTPRoute, by an Ingress of nginx. Pure.

Each router compares what was seen with the wanted weight and returns the writes that are missing, or what it waits for.
Blue-green needs none: its Services are moved as a whole (`decide.wants.services`).
"""
