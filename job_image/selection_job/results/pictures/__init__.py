"""Files with pixels: copies of images, frames, crops, examples."""
