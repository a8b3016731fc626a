"""`python -m xray_chest_detection`, installed as `xray`."""

import sys

from xray_chest_detection.cli.main import main as run


def main() -> int:
    """Run the command line of this process and return its exit status."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
