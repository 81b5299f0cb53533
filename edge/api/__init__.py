"""The REST API in Conductor's wire format, the device's own endpoints, and the console's files.

No decision is taken here and no SQL stands here: an endpoint decodes, calls the engine, encodes.
"""
