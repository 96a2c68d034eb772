"""The version of the runtime specification that is followed."""

OCI_VERSION = "1.2.0"
