"""What is made of each source, as given by options, Python or TOML."""
