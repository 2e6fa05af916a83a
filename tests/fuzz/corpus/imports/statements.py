# -*- coding: utf-8 -*-
"""import no"""
import a.b as c, d . e; from . import x
from ...p . r import (s, # import no
    t as u,)
from a import *
if x: import h
else: \
  from q import w \
  , v
def f(): x = rb'\'' f"{x['a']:{'y'}>{z}}" '\N{DASH}' u"""'"""; import g
f'''{x # '''
}''' rf'\{y}' t"{a!r:{{" f'\N{DASH}'
exec(eval("1")); sys.path.insert(0, 'x'); sys.modules[x] = y
__path__ = __import__('x'); é = importlib.metadata.version("entry_points")
def __getattr__(name, *, x): yield from y
