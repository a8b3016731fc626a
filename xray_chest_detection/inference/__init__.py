"""Running exported models without torch."""
