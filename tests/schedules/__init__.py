"""Long drains on virtual time: one device's history over a network that is at its worst."""
