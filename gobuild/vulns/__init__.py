"""vulns: the known vulnerabilities of a Go release, with its patches, its target and what ships taken into account.

The facts are the Go vulnerability database's (https://vuln.go.dev, CC-BY 4.0): a table in the package, or any database
in that form. What cannot be read as such is refused: no damage ends in "none".
"""
