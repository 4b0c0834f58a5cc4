"""Data folders that earlier versions have written, and what they answered: this version starts on them and goes on."""
