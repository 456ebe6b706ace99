"""What is told of a release beside its archives: bill of materials, provenance, digests, and who signs them."""
