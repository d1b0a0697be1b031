"""What another process does with a store; it imports nothing that the store does not."""


def read_there(store, key, answers):
    """Read the object and send it."""
    answers.send(store.read(key))
