"""A model that knows how it was made, so that a file of its weights can make it again."""

import functools
import inspect


def architecture(factory):
    """Let each model that `factory` returns remember the factory's name and the settings it was made with.

    They lie in `model.architecture` as {"name": ..., "settings": {...}}; a file can hold them if JSON can.
    """
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def remembering(*values, **settings):
        given = signature.bind(*values, **settings)
        given.apply_defaults()
        made_with = dict(given.arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                made_with |= made_with.pop(name)
        model = factory(*values, **settings)
        model.architecture = {"name": factory.__name__, "settings": made_with}
        return model
    return remembering
