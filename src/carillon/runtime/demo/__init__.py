"""`carillon demo`: the main job once, with real processes that are killed on the way, and the proof."""
