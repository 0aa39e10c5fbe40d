"""Pages in which generated tables stand between markers, `<!-- NAME -->` and `<!-- /NAME -->`."""

from collections.abc import Mapping

from singtheory import InputError


def with_tables(page: str, tables: Mapping[str, str], file: str = "the page") -> str:
    """The page with each table between its markers.

    Args:
        page: Markdown.
        tables: by name.
        file: the page's, for errors.

    Raises:
        InputError: where markers are missing.
    """
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise InputError(f"{file}: needs one line {begin} and one line {end}")
        head, rest = page.split(begin)
        page = f"{head}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    return page
