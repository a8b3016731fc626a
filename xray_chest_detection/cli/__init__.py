"""The command line: the `xray` program and what the runnable steps share."""
