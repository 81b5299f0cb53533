"""Runnable benchmarks; each prints its figures beside a baseline taken in the same run.

No assertion on time stands here.
"""
