"""`python -m tailrace`: the program, where its script is not on the PATH."""

from tailrace.cli.main import run

if __name__ == "__main__":
    run()
