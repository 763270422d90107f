"""Full images and restored volumes of an archive."""
