"""What a power cut leaves: every state that the disk can be in, worked out and looked at.

No clock of the machine is read and nothing is killed here; the disk is a list of operations.
"""
