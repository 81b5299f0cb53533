"""The device daemon: the engine, its store, its API and its command line.

Nobody imports this package.
"""
