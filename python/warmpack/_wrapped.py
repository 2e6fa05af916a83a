"""A function that activates an application before it runs, wherever it was sent to."""

import importlib
import inspect
import pickle
import typing
from typing import Any, Callable, Dict, Optional


def _dumps(value: Any) -> bytes:
    """By value where a pickler that can is there: Spark's, or the one that it is made from."""
    for name in ("pyspark.cloudpickle", "cloudpickle"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return bytes(module.dumps(value))
    return pickle.dumps(value)


def _signature(function: Callable[..., Any]) -> Optional[inspect.Signature]:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _bare(signature: Optional[inspect.Signature]) -> Optional[inspect.Signature]:
    """The names of the parameters alone: the rest may be of the application, which must not be
    imported before it is activated."""
    if signature is None:
        return None
    empty = inspect.Parameter.empty
    return inspect.Signature([
        p.replace(annotation=empty, default=empty if p.default is empty else None)
        for p in signature.parameters.values()
    ])


def _unpickled(app: Any, name: str, signature: Optional[inspect.Signature], payload: bytes,
               counts: Any) -> "Wrapped":
    made = Wrapped.__new__(Wrapped)
    made._app, made._function, made._payload, made._counts = app, None, payload, counts
    made._name, made._shape = name, signature
    return made


class Wrapped:
    """Calls app.activate(), then the function.

    Pickled, it holds the function as bytes, which are read only after the activation: a function of
    the application's own modules can be wrapped, too. It has no __dict__, out of which
    functools.wraps would take the function.
    """

    __slots__ = ("_app", "_function", "_payload", "_name", "_shape", "_counts")

    def __init__(self, app: Any, function: Callable[..., Any], counts: Any = None) -> None:
        if not callable(function):
            raise TypeError("wrap() takes a function")
        self._app = app
        self._counts = counts
        self._function: Optional[Callable[..., Any]] = function
        self._payload: Optional[bytes] = None
        self._name = getattr(function, "__name__", type(function).__name__)
        self._shape = _signature(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._app.activate()
        if self._function is None:
            assert self._payload is not None
            self._function = pickle.loads(self._payload)
        if self._counts is not None:
            from . import metrics  # which begins to count
            return metrics.add_to(self._counts, self._function, *args, **kwargs)
        return self._function(*args, **kwargs)

    def __reduce__(self) -> Any:
        payload = self._payload if self._payload is not None else _dumps(self._function)
        return _unpickled, (self._app, self._name, _bare(self._shape), payload, self._counts)

    # Spark asks for these: parameters decide what a function of pandas is called with, and hints of
    # which kind it is.

    @property
    def __name__(self) -> str:
        return self._name

    @property
    def __signature__(self) -> inspect.Signature:
        if self._shape is None:
            raise AttributeError("__signature__")
        return self._shape

    def _hints(self) -> Dict[str, Any]:
        try:
            return typing.get_type_hints(self._function)
        except Exception:  # A hint may be any expression.
            return dict(getattr(self._function, "__annotations__", {}))

    def __getattr__(self, name: str) -> Any:
        if name == "__annotations__" and self._function is not None:
            return self._hints()
        raise AttributeError(name)
