"""Drivers: the code that speaks with real devices and files, one module per kind.

Nothing is imported here; the inventory's table names the module that a device needs.
"""
