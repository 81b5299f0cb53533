"""The demonstration: a broker, a control plane and a device with a camera, all on this machine.

Everything that runs is the real thing; only the scene in front of the camera is drawn.
"""
