"""The page of inspection: VGG-16 read, what was found in the classics, and what other counters answer."""
