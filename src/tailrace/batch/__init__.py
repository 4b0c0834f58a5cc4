"""The batch layer: sealed epochs of the stream into the lake, and states computed again from the lake's files alone."""
