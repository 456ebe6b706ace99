"""What is told of a timestamp server: its URL comes in, what a manifest may say of it goes out."""

from urllib.parse import urlsplit

APPLE = "apple"
"""The word for Apple's own server."""


def server(url: str) -> str:
    """Scheme and host of a URL, for its path and query may hold an account's key; `APPLE` and "none" as they are."""
    if url in ("", APPLE):
        return url or "none"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
