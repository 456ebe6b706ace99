"""A checksum database of the published toolchains in Go's own format: signed notes, a transparent log, its files."""
