"""What import-linter cannot see: it knows packages of others by their first name only."""

import ast
from pathlib import Path

import hero_engine

ENGINE = Path(hero_engine.__file__).parent


def test_only_processes_knows_of_torch_distributed():
    users = {
        path.relative_to(ENGINE).as_posix()
        for path in ENGINE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if "distributed" in _imported(node)
    }
    assert users == {"processes.py"}


def _imported(node: ast.AST) -> str:
    if isinstance(node, ast.ImportFrom):
        return f"{node.module} {' '.join(alias.name for alias in node.names)}"
    if isinstance(node, ast.Import):
        return " ".join(alias.name for alias in node.names)
    return node.attr if isinstance(node, ast.Attribute) else ""
