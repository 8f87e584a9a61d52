"""Data sets: a folder of pictures with random holes, photos turned in 2.5D; and which items are held out."""
