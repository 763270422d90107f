"""`walbc top`: the state of a group, once or as a live screen."""
