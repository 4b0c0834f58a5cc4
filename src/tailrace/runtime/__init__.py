"""The only door to time, chance and the machine. Everything above takes a clock or an id source as a value."""
