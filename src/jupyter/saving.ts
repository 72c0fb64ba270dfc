/**
 * Jupyter's contents manager, with another way to replace a file. Jupyter overwrites the existing file, next
 * to a copy of its old content. Whoever reads the notebook meanwhile finds half of it, assumes that the write
 * failed, and restores the copy, which loses the save (`_read_notebook` and `atomic_writing` in
 * jupyter_server's `services/contents/fileio.py`). Here the complete new file replaces the old one, so that
 * every reader, on this node or another, sees one or the other.
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
