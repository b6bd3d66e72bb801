"""Moralscope's engine: moral vectors, model states, geometry. It knows no screen.

Modules import only downwards (see the layer contract in ``pyproject.toml``); nothing is
re-exported here, because a root that imports everything is how import cycles start.
"""


class CoreError(Exception):
    """A situation a user can cause and mend.

    Its text is one sentence or two for the person in front of the screen: what was asked, what is
    possible, what to do. Pages and the command line show it as it stands. A programmer's mistake is
    a ``ValueError`` and is not caught.
    """
