"""Starts the supervisor: `python -I -S __main__.py DATA_DIRECTORY INSTALLATION`.

The interpreter is isolated: it finds no site-packages, and so no `todo_api`. This file makes its folder a package named
`embedded`, so that relative imports work. The folder's `__init__` does not run, because only users of the server need
it. The supervisor can import only the standard library and the modules of this folder.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

package = ModuleType("embedded")
# Not through sys.path, because a module of this folder could shadow one of the standard library.
package.__path__ = [str(Path(__file__).parent)]
sys.modules[package.__name__] = package

import_module(f"{package.__name__}.supervisor").main()
