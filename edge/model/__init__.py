"""The engine's nouns: definitions, executions, commands and decisions, as frozen data.

No input or output, no clock, no SQL and no opinion of what should happen next.
"""
