"""A fleet that is simulated: many virtual devices that speak the sync protocol over real brokers.

Only the devices' work is made up; how they speak is the uplink of every device.
"""
