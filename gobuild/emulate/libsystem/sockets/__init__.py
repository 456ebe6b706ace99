"""Sockets: how they are made and connected, and what goes through them."""
