"""`python -m thalweg`: the command, where its script is not on the path."""

from thalweg.cli.main import run

if __name__ == "__main__":  # a process that is spawned reads this file, too
    run()
