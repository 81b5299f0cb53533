"""What should happen next: a pure step from a Snapshot and a Command to a Decision.

No input or output, no SQL, no clock, no randomness and no logging.
"""
