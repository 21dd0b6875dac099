"""The sales page of a house with several currencies."""

from tests.admin_site import Site, table
from tests.catalog.test_currencies import DAY, sold  # noqa: F401 - a fixture


def test_the_sales_page_has_a_sum_for_each_currency(
    sold: dict[str, int],  # noqa: F811
    site: Site,
) -> None:
    day = DAY.date().isoformat()
    page = site.get("sales/", by="movie", since=day, until=day)
    assert [row[-1] for row in table(page)] == ["€19.00", "¥3,600", "KWD\xa06.500"]
    for told in ("In all, EUR", "In all, JPY", "In all, KWD", "Takings in JPY"):
        assert told in page.text
    written = site.get("sales/export/csv/", by="day", since=day, until=day).text
    assert [line.split(",")[4:6] for line in written.splitlines()[1:]] == [
        ["19.00", "EUR"],
        ["3600", "JPY"],
        ["6.500", "KWD"],
    ]
