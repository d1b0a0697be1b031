"""The pixels of one image: decode, turn, measure, thumbnail, crop."""
