/**
 * The Python by which a server of Jupyter recognises the kernels of the server before it: which process each one
 * is, and the file that describes it. It reads the Python variable `kernel_marks` (a dictionary): what the
 * environment of every kernel of this node contains, and of nothing else.
 */
export const kernelRecords = `import fcntl
import json
import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path


def start_time(pid):
    """In clock ticks since the boot; with its ID it names a process for good. None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in (b"Z", b"X", b"x") else int(fields[18])


def here():
    """Within what a process ID and a start time name one process, and the node that the process belongs to."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return {"boot": boot, "processes": os.readlink("/proc/self/ns/pid"), **kernel_marks}


def processes_of_kernels():
    """ID, start time and kernel of each process that a kernel of this node is or has started."""
    marks = {f"{name}={value}".encode() for name, value in kernel_marks.items()}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            started = start_time(pid)
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\\0")
            if started is None or not marks.issubset(environment):
                continue
            names = [entry[len("PERIJOVE_NODE_KERNEL=") :] for entry in environment if entry.startswith(b"PERIJOVE_NODE_KERNEL=")]
            yield int(pid), started, names[0].decode() if names else None


def end_strangers(kept, before):
    """Ends what belongs to no kernel of these, if it was started earlier. It has nobody who could reach it."""
    for pid, started, kernel in processes_of_kernels():
        if kernel not in kept and started < before and start_time(pid) == started:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


class TakenUpProcess:
    """A kernel that another server has started: what provisioners use of Popen."""

    stdin = stdout = stderr = None

    def __init__(self, pid, started):
        self.pid = pid
        self.started = started
        self.returncode = None

    def poll(self):
        # The status is given to its parent alone.
        if self.returncode is None and start_time(self.pid) != self.started:
            self.returncode = 0
        return self.returncode

    def wait(self, timeout=None):
        while self.poll() is None:
            time.sleep(0.05)
        return self.returncode

    def send_signal(self, signum):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def checked(record):
    """Raises ValueError if it is not one that \`KeptKernel.record\` has made."""
    text, maybe = str, (str, type(None))
    shape = {"name": text, "connection_file": text, "pid": int, "started": int, "here": dict, "cwd": maybe, "client": maybe}
    if not isinstance(record, dict) or any(not isinstance(record.get(key, 0.0), kind) for key, kind in shape.items()):
        raise ValueError("it does not describe a kernel")
    env, sessions = record.get("env"), record.get("sessions")
    if not isinstance(env, (dict, type(None))) or any(not isinstance(value, text) for value in (env or {}).values()):
        raise ValueError("its environment is none")
    if not isinstance(sessions, (list, type(None))):
        raise ValueError("its sessions are none")
    for row in sessions or []:
        if not isinstance(row, dict) or not isinstance(row.get("id"), text):
            raise ValueError("a session has no ID")
        if any(not isinstance(row.get(key), maybe) for key in ("path", "name", "type")):
            raise ValueError("a session is not described")
    return record


class KernelRecords:
    """A file for each kernel, for its user alone. Each is whole or absent at any moment."""

    most_output = 1 << 20

    def __init__(self, directory, log):
        self.directory = Path(directory)
        self.log = log
        self.written = {}
        # Kernels of which it is not known what they are.
        self.unknown = set()

    def claim(self):
        """For the life of this server. False if they belong to another one: a user may start servers as well."""
        if "PERIJOVE_NODE_KERNEL" in os.environ:
            return False
        try:
            self.here = here()
            # Closed on exec: no kernel and no terminal holds it.
            self.lock = self._open(self.directory / "lock", 0)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.log.warning("Kernels will end with this server; it does not have their records: %s", error)
            return False
        return True

    def _file(self, kernel_id, kind):
        return self.directory / f"{kernel_id}.{kind}"

    def _open(self, file, how):
        self.directory.mkdir(mode=0o700, exist_ok=True)
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o600)

    def write(self, kernel_id, record):
        text = json.dumps(record)
        if self.written.get(kernel_id) == text:
            return
        new = self._file(kernel_id, "new")
        try:
            with open(self._open(new, os.O_TRUNC), "w") as file:
                file.write(text)
            os.replace(new, self._file(kernel_id, "json"))
            self.written[kernel_id] = text
        except OSError as error:
            self.log.warning("Kernel %s may be lost if this server dies; its record cannot be written: %s", kernel_id, error)

    def drop(self, kernel_id):
        self.written.pop(kernel_id, None)
        for kind in ("json", "new", "output"):
            with suppress(OSError):
                self._file(kernel_id, kind).unlink()

    def set_aside(self, kernel_id, why):
        self.log.warning("The record of kernel %s is set aside: %s", kernel_id, why)
        with suppress(OSError):
            os.replace(self._file(kernel_id, "json"), self._file(kernel_id, "unusable"))
        self.drop(kernel_id)

    def read(self):
        """Records by kernel; None if it is not known which there are."""
        try:
            names = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.log.warning("Kernels of an earlier server are not known: %s", error)
            return None
        found = {}
        for name in names:
            match = re.fullmatch(r"(\\w+-\\w+-\\w+-\\w+-\\w+)\\.json", name)
            if match is None:
                continue
            kernel_id = match[1]
            try:
                with open(self.directory / name, "rb") as file:
                    content = file.read()
            except OSError as error:
                self.log.warning("The record of kernel %s cannot be read: %s", kernel_id, error)
                self.unknown.add(kernel_id)
                continue
            try:
                found[kernel_id] = checked(json.loads(content))
            except (ValueError, RecursionError) as error:
                self.set_aside(kernel_id, error)
        return found

    def output(self, kernel_id):
        """Where a kernel writes what is not the output of a cell. This server's own log ends with its supervisor."""
        try:
            return open(self._open(self._file(kernel_id, "output"), os.O_APPEND), "ab")
        except OSError:
            return open(os.devnull, "ab")

    def report_output(self, kernel_id):
        """Moves the end of it into this server's log."""
        with suppress(OSError), open(self._file(kernel_id, "output"), "rb+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            text = file.read().decode(errors="replace").strip()
            file.truncate(0)
            if text:
                self.log.info("Kernel %s has written: %s", kernel_id, text)

    def limit_output(self):
        with suppress(OSError):
            for file in self.directory.glob("*.output"):
                if file.stat().st_size > self.most_output:
                    os.truncate(file, 0)
`;
