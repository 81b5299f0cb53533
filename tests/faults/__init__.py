"""Storage in trouble: real faults against the real store, engine and daemon."""
