"""The ids of the theory, kept apart from the registry of claims so that a lost claim is missed."""

STATEMENTS = [
    f"{group}{k}"
    for group, last in (("A", 5), ("B", 12), ("C", 9), ("D", 6), ("E", 3), ("F", 11))
    for k in range(1, last + 1)
]
