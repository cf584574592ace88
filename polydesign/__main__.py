"""python -m polydesign: the command line."""

from polydesign.cli import main

if __name__ == "__main__":
    main(prog_name="polydesign")
