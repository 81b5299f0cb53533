"""The way up and down: records, sessions, the uplink and the control plane.

Nothing here knows the engine, the devices or the workflows.
"""
