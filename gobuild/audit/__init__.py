"""What is asked of finished toolchains: what one is, whether it can be made again, how two differ."""
