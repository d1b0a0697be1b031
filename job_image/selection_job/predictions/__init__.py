"""What models said about the images: prediction files, and the active-learning scores made of them."""
