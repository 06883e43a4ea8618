"""Mutations of trees: JSON, and TOML as far as evalsuite's files need it."""

import json
import tomllib
from collections.abc import Callable
from copy import deepcopy
from random import Random

from fuzz.mutations.plain import TOKENS, encoded

Node = dict[str, object] | list[object]


def json_tree(random: Random, data: bytes) -> bytes:
    """JSON: one to three places of the tree hold something else."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return encoded(json.dumps(tree_changed(random, tree), ensure_ascii=random.random() < 0.5))


def toml_tree(random: Random, data: bytes) -> bytes:
    """TOML: likewise; what TOML cannot say, null, is left out."""
    try:
        tree = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return data
    changed = tree_changed(random, tree)
    if not isinstance(changed, dict):
        return encoded(f"value = {_toml(changed)}")
    return encoded("\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in changed.items()) + "\n")


def tree_changed(random: Random, tree: object) -> object:
    """A copy of `tree` in which one to three places hold something else."""
    changed: object = deepcopy(tree)
    for _ in range(random.randint(1, 3)):
        places = list(_places(changed))
        if not places:
            return odd(random)
        parent, key = random.choice(places)
        _CHANGES[random.randrange(len(_CHANGES))](random, parent, key, changed)
    return changed


def odd(random: Random) -> object:
    """A value that few readers expect."""
    numbers: list[object] = [
        0,
        1,
        -1,
        2**31,
        2**63,
        2**70,
        -(2**70),
        1e308,
        float("nan"),
        float("inf"),
        0.5,
        -0.0,
        1e-320,
    ]
    others: list[object] = [
        None,
        True,
        False,
        "",
        [],
        {},
        [[]],
        [{}],
        {"": None},
        [None] * 3,
        ["a", 1],
        {"a": {"b": []}},
    ]
    words: list[object] = [random.choice(TOKENS), "x" * 3000]
    return random.choice([*numbers, *others, *words])


def _put(random: Random, parent: Node, key: int | str, _: object) -> None:
    parent[key] = odd(random)  # type: ignore[index]  # a key of this very parent


def _drop(_: Random, parent: Node, key: int | str, __: object) -> None:
    del parent[key]  # type: ignore[arg-type]  # as above


def _move(random: Random, parent: Node, key: int | str, tree: object) -> None:
    above, other = random.choice(list(_places(tree)))
    parent[key] = deepcopy(above[other])  # type: ignore[index]  # as above


def _rename(random: Random, parent: Node, key: int | str, _: object) -> None:
    if isinstance(parent, dict):
        parent[random.choice((*TOKENS, *parent))] = parent.pop(str(key))
    else:
        parent.append(deepcopy(parent[int(key)]))


def _wrap(random: Random, parent: Node, key: int | str, _: object) -> None:
    value = parent[key]  # type: ignore[index]  # as above
    parent[key] = random.choice(([value], {"a": value}, str(value), [value] * 1000))  # type: ignore[index]


_CHANGES: tuple[Callable[[Random, Node, int | str, object], None], ...] = (
    _put,
    _put,
    _put,
    _drop,
    _move,
    _rename,
    _wrap,
)


def _places(tree: object) -> list[tuple[Node, int | str]]:
    """Every place in the tree: what holds it, and by which key."""
    places: list[tuple[Node, int | str]] = []
    ahead: list[object] = [tree]
    while ahead:
        node = ahead.pop()
        keys: list[int | str] = (
            list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        )
        if isinstance(node, dict | list):
            places += [(node, key) for key in keys]
            ahead += [node[key] for key in keys]  # type: ignore[index]  # as above
    return places


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items() if item is not None)
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value if item is not None) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)
