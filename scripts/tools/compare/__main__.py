"""The entry point of scripts/compare."""

import sys

from tools.compare.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
