"""What a service's traffic is like, as numbers that a person can read and edit: learned from a log, drawn from by the generator."""
