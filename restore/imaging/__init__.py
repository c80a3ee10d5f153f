"""Pictures as bytes and as pixels: decoding, encoding, colours, metadata, thumbnails."""
