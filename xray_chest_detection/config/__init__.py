"""Strict models of every configuration file, and how a file and the command line are joined."""
