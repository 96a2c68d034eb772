"""`python -m runtime.oci_cli`: the command pycompose-oci."""

from runtime.oci_cli.main import main_and_exit

if __name__ == "__main__":
    main_and_exit()
