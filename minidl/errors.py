"""How an error is told to whoever typed a command: in one sentence, without a traceback."""


def sentence(error):
    """What an error tells the user. An OSError's own text begins with its number, which says nothing to anyone."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or "out of memory"                     # MemoryError alone comes without words
