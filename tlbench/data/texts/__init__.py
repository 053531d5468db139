"""Texts of files and of JSON tables, and their features by a sentence encoder."""
