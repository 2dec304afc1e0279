"""`striate models`: the networks that can be built by name."""


def models() -> None:
    """List the networks: what each takes, how large that is by default, and how many parameters it has."""
    from rich.console import Console
    from rich.table import Table

    from striate.models import summaries

    table = Table("network", "takes", "gives", "input", "classes", "parameters")
    for row in summaries():
        size = "x".join(str(side) for side in row.input_size)
        table.add_row(row.name, row.takes, row.gives, size, str(row.num_classes), f"{row.parameters:,}")
    Console(markup=False, emoji=False, highlight=False).print(table)
