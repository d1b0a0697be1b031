"""The model that turns an image into a vector: built, trained, loaded, applied."""
