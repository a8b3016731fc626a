"""The Flask page and its JSON interface."""
