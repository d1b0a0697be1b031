"""What others say, as small frozen values: objects of the API server, and a running pod about its progress."""
