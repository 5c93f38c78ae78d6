"""Tools for those who change imgbatch."""
