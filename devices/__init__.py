"""Devices: capabilities, drivers, their simulated twins and the inventory that opens them.

Nothing here knows workflows, tasks, HTTP or sync.
"""
