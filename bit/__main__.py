"""``python -m bit`` is the command line."""

from bit.cli import main

if __name__ == "__main__":
    main()
