"""`python -m runtime.oci_cli`: the command pycompose-oci."""

import sys

from runtime.oci_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
