"""What there is: the listing, the relevant files, each image's bytes, size, hash and condition."""
