"""What goes wrong in made-up traffic, and when: events that a run has from its start or is given while it runs, each with a label."""
