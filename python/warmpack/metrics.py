"""How many compiled functions this process loaded from caches, and how many it compiled.

warmpack.stats() is a dictionary with

    hits      overloads that Numba loaded from a cache
    misses    overloads that it compiled, those without a cache included; what was compiled into
              another one belongs to that
    seconds   of compiling

Counting begins when this module is imported, as the first call of warmpack.stats() does. Of what was
before, hits and misses are what functions of @jit have counted themselves: those of @vectorize and
@guvectorize are missing, what was compiled into another function counts, and no seconds are known.
"""

import gc
import importlib
import sys
from typing import Any, Callable, Dict, Iterator, Optional

from . import explaining

__all__ = ["Counts", "add_to", "instrument", "stats"]

Counts = Dict[str, float]


def _counted_before() -> None:
    """Adds what dispatchers have counted."""
    module = sys.modules.get("numba.core.dispatcher")
    if module is None:
        return
    for found in gc.get_objects():
        if issubclass(type(found), module.Dispatcher):  # a proxy claims another class
            explaining.add(sum(found._cache_hits.values()), sum(found._cache_misses.values()))


def _begin() -> None:
    if explaining.install():
        _counted_before()


_begin()


def stats() -> Counts:
    """Hits, misses and seconds of this process."""
    hits, misses, seconds = explaining.counts()
    return {"hits": hits, "misses": misses, "seconds": round(seconds, 6)}


def _difference(after: Counts, before: Counts) -> Counts:
    return {name: after[name] - before[name] for name in after}


def _iterate(items: Iterator[Any], tell: Callable[[], None]) -> Iterator[Any]:
    """Most of a function of partitions runs while its result is read."""
    try:
        yield from items
    finally:
        tell()


def add_to(accumulator: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls FUNCTION, and adds what it counts to ACCUMULATOR, which has a method add() for
    dictionaries of counts."""
    before = stats()

    def tell() -> None:
        counted = _difference(stats(), before)
        if any(counted.values()):
            accumulator.add(counted)

    try:
        result = function(*args, **kwargs)
    except BaseException:
        tell()
        raise
    if isinstance(result, Iterator):
        return _iterate(result, tell)
    tell()
    return result


def instrument(meter: Optional[Any] = None) -> None:
    """Gives the three to OpenTelemetry, as the observable counters warmpack.cache.hits,
    warmpack.cache.misses and warmpack.compile.seconds of METER, by default one called "warmpack".
    Needs the package opentelemetry-api."""
    metrics = importlib.import_module("opentelemetry.metrics")
    if meter is None:
        meter = metrics.get_meter("warmpack")

    def observe(name: str) -> Callable[[Any], Any]:
        return lambda options: [metrics.Observation(stats()[name])]

    meter.create_observable_counter("warmpack.cache.hits", [observe("hits")], "1",
                                    "overloads that Numba loaded from a cache")
    meter.create_observable_counter("warmpack.cache.misses", [observe("misses")], "1",
                                    "overloads that Numba compiled")
    meter.create_observable_counter("warmpack.compile.seconds", [observe("seconds")], "s",
                                    "time that Numba spent on compiling")
