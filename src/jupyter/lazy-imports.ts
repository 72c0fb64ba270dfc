/**
 * A Python module that replaces `rfc3987_syntax` while JupyterLab starts. That package builds a parser from
 * its grammar on import, which takes more than half of JupyterLab's start (measured: without it, the start
 * takes 1.1 s instead of 3.0 s, and 66 MB of memory instead of 82 MB), for a check of the JSON schema format
 * `iri` that a Jupyter without such schemas never makes. This module imports the real package on the first
 * such check, so nothing is lost. It must be named `rfc3987_syntax.py` and be in its own directory, first in
 * PYTHONPATH; `jupyterConfig` removes that directory for kernels.
 */
export const lazyRfc3987Syntax = `import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_here = str(Path(__file__).parent)
_real = None


def _package():
    global _real
    if _real is None:
        spec = PathFinder.find_spec(__name__, [entry for entry in sys.path if entry != _here])
        if spec is None or spec.loader is None:
            raise ImportError(f"No module named {__name__!r}", name=__name__)
        _real = module_from_spec(spec)
        sys.modules[__name__] = _real
        spec.loader.exec_module(_real)
    return _real


def is_valid_syntax(*arguments, **named):
    return _package().is_valid_syntax(*arguments, **named)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(_package(), name)
`;
