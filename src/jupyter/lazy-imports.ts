/**
 * A Python module that stands in for `rfc3987_syntax` while JupyterLab starts. That package builds a parser
 * of its grammar when it is imported, which takes more than half of JupyterLab's whole start (measured: 3.0 s
 * of start became 1.1 s, and 82 MB of memory became 66 MB), for a check of the JSON schema format `iri` that
 * a Jupyter without such schemas never makes. This one imports the real package on the first such check, so
 * nothing is lost. It must be named `rfc3987_syntax.py` and lie in a directory of its own, first in
 * PYTHONPATH; `jupyterConfig` takes that directory out again, for kernels.
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
