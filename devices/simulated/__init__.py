"""Twins of the drivers: seeded, without hardware, slow or lost or without power on cue.

No run-time module imports them; the inventory's table of names leads here.
"""
