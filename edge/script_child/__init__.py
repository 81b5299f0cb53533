"""The program in which scripts run: a process of its own, with limits that the kernel holds it to.

It knows nothing of the daemon, and the daemon knows only ``frames``.
"""
