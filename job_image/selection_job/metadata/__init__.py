"""What is known about the images besides their pixels: metadata given by the user, and computed ones."""
