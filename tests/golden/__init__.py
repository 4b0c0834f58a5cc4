"""One ugly input, one expected result, every way to get there: batch, speed, every cut between them, with restarts."""
