"""Every parser that reads bytes from outside, under random input. `make fuzz` guides it by coverage; `make test` does a little of it."""
