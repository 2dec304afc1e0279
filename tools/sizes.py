"""Print the largest files and functions of the package, docstrings not counted."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def length(node: ast.AST, body: list[ast.stmt]) -> int:
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return node.end_lineno - node.lineno + 1 - docstring


def main() -> None:
    files, functions = [], []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        name = path.relative_to(SOURCE)
        files.append((len(text.splitlines()), str(name)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append((length(node, node.body), f"{name}:{node.lineno} {node.name}"))
    for title, found in (("files", files), ("functions", functions)):
        print(f"largest {title} (lines):")
        for lines, name in sorted(found, reverse=True)[:5]:
            print(f"  {lines:5} {name}")


if __name__ == "__main__":
    main()
