/**
 * The part of Jupyter's configuration that moves trust in a notebook's outputs with Jupyter. It reads the
 * Python variables `cookie_secret` (bytes) and `notebooks` (a path), and the module `os`.
 *
 * By default a server keeps the signatures of trusted notebooks, and their key, on its own disk: after a
 * move, every notebook's HTML and JavaScript would be blocked until its cells run again. Its SQLite file is
 * unsuitable for storage that several machines share, since SQLite needs locks there. Here a signature is an
 * empty file. The key is derived from a secret that all nodes have, so write access to the storage alone does
 * not suffice to sign.
 */
export const sharedTrust = `import hashlib
import hmac
from contextlib import suppress
from pathlib import Path

from nbformat.sign import SignatureStore


class SharedSignatures(SignatureStore):
    """One empty file for each signature; of 256 directories, each keeps its newest ones."""

    kept = 256

    def __init__(self, directory):
        self.directory = Path(directory)

    def _file(self, digest, algorithm):
        return self.directory / digest[:2] / f"{algorithm}-{digest}"

    def store_signature(self, digest, algorithm):
        file = self._file(digest, algorithm)
        # Of storage that is full or read-only the notebook itself tells when it is saved.
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            self._cull(file.parent)

    def check_signature(self, digest, algorithm):
        file = self._file(digest, algorithm)
        if not os.path.exists(file):
            return False
        with suppress(OSError):
            os.utime(file)
        return True

    def remove_signature(self, digest, algorithm):
        with suppress(OSError):
            self._file(digest, algorithm).unlink()

    def _cull(self, shard):
        names = os.listdir(shard)
        if len(names) <= self.kept:
            return
        newest_last = sorted((os.stat(shard / name).st_mtime, name) for name in names)
        for _, name in newest_last[: len(names) // 4]:
            (shard / name).unlink(missing_ok=True)


c.NotebookNotary.secret = hmac.new(cookie_secret, b"signatures of notebooks", hashlib.sha256).digest()
c.NotebookNotary.store_factory = lambda: SharedSignatures(notebooks + "/.jupyter/trusted")
`;
