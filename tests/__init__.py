"""Everything that shows what Baton does; nothing of it is installed."""
