/**
 * Jupyter's manager of files, except for how it replaces one. Its own way writes into the file that is there, beside
 * a copy of what it was; who reads a notebook meanwhile finds half of one, takes the write for one that failed, and
 * brings the copy back, and with that the save is lost (`_read_notebook` and `atomic_writing` in jupyter_server's
 * `services/contents/fileio.py`). Here the new file takes the old one's place when it is complete, so that whoever
 * reads it, on this node or another, has the one or the other.
 */
export const wholeFiles = `import errno
import shutil
import uuid
from contextlib import contextmanager, suppress

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager


class WholeFiles(AsyncLargeFileManager):
    """Nobody sees a file that is half written."""

    @contextmanager
    def atomic_writing(self, os_path, text=True, encoding="utf-8", **kwargs):
        path = os.path.realpath(os_path)
        directory = os.path.dirname(path)
        # A file that may be written in a directory that may not be.
        if os.path.isfile(path) and not os.access(directory, os.W_OK):
            with super().atomic_writing(path, text=text, encoding=encoding, **kwargs) as file:
                yield file
            return
        with self.perm_to_403(os_path):
            if os.path.exists(path) and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            # Not derived from the file's name, which may be as long as a name can be.
            new = os.path.join(directory, f".saving-{uuid.uuid4().hex}")
            how = {"mode": "x", "encoding": encoding, "newline": "\\n", **kwargs} if text else {"mode": "xb", **kwargs}
            try:
                with open(new, **how) as file:
                    if os.path.exists(path):
                        with suppress(OSError):
                            was = os.stat(path)
                            os.chown(new, was.st_uid, was.st_gid)
                        with suppress(OSError):
                            shutil.copystat(path, new)
                            os.utime(new)
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(new, path)
            finally:
                with suppress(OSError):
                    os.unlink(new)


c.ServerApp.contents_manager_class = WholeFiles
`;
