"""One patch a rule of the hand-over, each of which undoes it. `make mutations` shows that a test finds each of them."""
