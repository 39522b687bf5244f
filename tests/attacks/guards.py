"""The guards of the product, found in its source, and how a test takes one away.

`marked` reads the source, so that no mark can hide (in a function, behind a branch); `imported` finds the
same marks as the interpreter sees them. Both are compared in `test_guards.py`.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import placet
from placet.core.guards import MARK

SOURCE = Path(placet.__file__).parent
_WELL = {"None": None, "str": "", "bool": True}
_APART = (
    "placet.demo",
    "placet.integrations",
)  # loaded by nobody else, slow, and without guards of their own


def modules():
    """Name -> path of every module of the product."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def tree(path: Path) -> ast.Module:
    """The syntax of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(above: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Qualified name and node of every function, nested ones and methods too."""
    for node in ast.iter_child_nodes(above):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions(node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def marked() -> dict[str, tuple[int, ...]]:
    """`module:function` -> threats, of each `@guard(...)` in the source."""
    out = {}
    for module, path in modules():
        for name, node in functions(tree(path)):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).split(".")[-1] == "guard":
                    out[f"{module}:{name}"] = tuple(ast.literal_eval(one) for one in mark.args)
    return out


def imported() -> dict[str, tuple[int, ...]]:
    """The same, as attributes of modules and classes; anything else cannot be taken away."""
    out = {}
    for module in loaded():
        for owner in (module, *(one for one in vars(module).values() if inspect.isclass(one))):
            for value in vars(owner).values():
                plain = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
                threats = getattr(plain, MARK, None) if inspect.isfunction(plain) else None
                if threats is not None and plain.__module__.startswith("placet"):
                    out[f"{plain.__module__}:{plain.__qualname__}"] = threats
    return out


def loaded():
    """All modules of the product, imported."""
    for found in pkgutil.walk_packages([str(SOURCE)], "placet."):
        if not found.name.endswith("__main__") and not found.name.startswith(_APART):
            importlib.import_module(found.name)
    return [
        one for name, one in sorted(sys.modules.items()) if name == "placet" or name.startswith("placet.")
    ]


def find(name: str):
    """Owner, attribute and value of a guard."""
    module, _, qualified = name.partition(":")
    owner = importlib.import_module(module)
    *above, last = qualified.split(".")
    for one in above:
        owner = getattr(owner, one)
    return owner, last, inspect.getattr_static(owner, last)


@contextmanager
def away(patch, *names, instead: Mapping[str, object]):
    """With these guards taken away: wherever a module, a class or a table names them, nothing is refused.

    A guard that answers nothing, a text of complaint or a bool answers that all is well; what else one
    answers instead is `instead[name]`.
    """
    everywhere = loaded() + [one for name, one in sorted(sys.modules.items()) if name.startswith("attacks.")]
    _forget(everywhere)
    with patch.context() as patched:
        for name in names:
            owner, attribute, real = find(name)
            new = instead[name] if name in instead else _harmless(name, real)
            if inspect.isclass(owner):
                patched.setattr(
                    owner, attribute, type(real)(new) if isinstance(real, staticmethod | classmethod) else new
                )
                continue
            for module in everywhere:
                for key, value in list(vars(module).items()):
                    if value is real:
                        patched.setattr(module, key, new)
                    elif isinstance(value, dict) and any(one is real for one in value.values()):
                        patched.setattr(
                            module, key, {name: new if one is real else one for name, one in value.items()}
                        )
        try:
            yield
        finally:
            _forget(everywhere)


def _harmless(name: str, real):
    returns = inspect.signature(real).return_annotation
    if returns not in _WELL and not returns.endswith("| None"):
        raise TypeError(f"{name} answers {returns}: say in mutations.py what it answers when it is away")
    answer = _WELL.get(returns)
    return lambda *_args, **_kwargs: answer


def _forget(everywhere):
    """What was cached with a guard must not be believed without it, nor the other way round."""
    for module in everywhere:
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
