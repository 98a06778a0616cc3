"""What client and gateway say to each other, one frozen dataclass per message."""
