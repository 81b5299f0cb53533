"""What is installed on a device: units, examples, packages, scripts."""
