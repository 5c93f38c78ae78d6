"""What is on the disk: files published whole, the journal of what was made, logs, checksums."""
