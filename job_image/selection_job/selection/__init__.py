"""From the configuration and the embeddings to the images that are kept, and why."""
