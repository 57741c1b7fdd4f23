"""mutations.py -- the planted bugs of `zig build mutate`: which text of which file becomes what."""

MUTATIONS = [
]
