"""What the audience gets: watch page, overlay, feeds, sound, podcast; never the owner or the money."""
