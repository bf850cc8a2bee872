"""(policy, status, observation, verdict, now) -> (status, actions). Pure; `turn.decide` is the door.

A turn either moves the status on, or writes what the present phase is missing; never both. So a controller that is
killed anywhere reads the same status and the same cluster again, and goes on from there.
"""
