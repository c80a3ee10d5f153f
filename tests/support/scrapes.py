"""What a Ray agent exports, read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

OURS = "ray_silverprint_"


@dataclass(frozen=True)
class Scrape:
    """Our metrics of one agent: their types by family, and the value of each series."""

    kinds: Mapping[str, str]
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def __or__(self, later: Scrape) -> Scrape:
        """All series of both, by their last values."""
        return Scrape({**self.kinds, **later.kinds}, {**self.values, **later.values})

    def series(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and value of each series of that name."""
        return ((dict(labels), value) for (found, labels), value in self.values.items() if found == name)

    def by(self, name: str, *labels: str, **only: str) -> dict[tuple[str, ...], float]:
        """Sums over the series that have the labels `only`, by the values of `labels`."""
        sums: dict[tuple[str, ...], float] = {}
        for found, value in self.series(name):
            if only.items() <= found.items():
                key = tuple(found[label] for label in labels)
                sums[key] = sums.get(key, 0) + value
        return sums

    def one(self, name: str) -> float:
        """The value of a name that has a single series."""
        [(_, value)] = self.series(name)
        return value


def scrape(url: str) -> Scrape:
    """Our metrics as they are exported now."""
    with urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    families = [one for one in text_string_to_metric_families(text) if one.name.startswith(OURS)]
    samples = [sample for family in families for sample in family.samples]
    values = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
    return Scrape({family.name: family.type for family in families}, values)
