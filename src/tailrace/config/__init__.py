"""Settings: frozen values with units in their names, read once at the start of each process."""
