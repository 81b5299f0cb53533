"""Hosting: workers of the site, written for the Python SDK, in processes of their own.

``crew`` starts and watches them, ``child`` is what runs in them; no rule of a task stands here.
"""
