"""Workflows that come with Baton and the contract that their handlers keep.

Nothing here knows the engine or the way history is synced.
"""
