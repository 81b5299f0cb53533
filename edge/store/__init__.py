"""What the engine keeps: executions, definitions, queues, timers and the outbox, in one SQLite file.

No policy stands here: what should be written is decided elsewhere.
"""
