"""The video analysis: from a motion in front of a camera to a description of what went by.

Nothing is imported here; the catalogue imports the handlers when the workflow is enabled.
"""
