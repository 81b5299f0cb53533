"""Other durable engines, installed into a folder of their own and run beside Baton."""
