"""The cloud end of the sync: the ledger of every device's history and the ingest that fills it.

Nothing here knows a device's drivers or its engine; the web pages stand elsewhere.
"""
