"""A seeded world on virtual time: real engines, stores, uplinks and a real control plane in it."""
