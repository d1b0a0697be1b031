"""Objects on images: their boxes, the crops cut out of the images, and the crops' embeddings."""
