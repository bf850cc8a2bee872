"""The rollout controller: gates blue-green and canary promotion on the metrics that the adapter serves.

Not built yet; the room is kept so that the layers above and below know their places.
"""
