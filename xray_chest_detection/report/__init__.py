"""Figures, tables and model cards."""
