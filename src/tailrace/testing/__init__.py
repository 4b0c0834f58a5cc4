"""Public kit for tests of Tailrace and of backends written elsewhere: contract suites, a real node to try things on."""
