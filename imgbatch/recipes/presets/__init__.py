"""Recipes that come with imgbatch; each is a file, and its name the preset's."""
