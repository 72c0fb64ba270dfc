/**
 * The part of Jupyter's configuration by which kernels and sessions outlive the server that started them. A server
 * that is killed leaves its kernels running, and the next one of the same node takes them up before it listens,
 * with their IDs, their sessions, and the connections that buffer output for whoever was connected last. A server
 * that ends in order ends its kernels, as Jupyter does. It needs the Python of `kernelRecords`.
 *
 * By default a kernel ends when its parent does, and both kernels and sessions are known to the memory of one server
 * alone. Kernels whose specification names another provisioner stay so.
 */
export const keptKernels = `import uuid
from concurrent.futures import Future as ReadyFuture
from datetime import datetime, timezone

from jupyter_client.connect import LocalPortCache
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager
from tornado.ioloop import IOLoop, PeriodicCallback
from traitlets import default


def prefer_when_out_of_memory(pid):
    """Where memory runs out, a kernel ends before what serves everybody: etcd, sshd and Jupyter."""
    score = Path(f"/proc/{pid}/oom_score_adj")
    with suppress(OSError, ValueError):
        score.write_text(str(max(kernel_oom_score, int(score.read_text()))))


class KeptProvisioner(LocalProvisioner):
    """Starts a kernel that does not end with this server, or takes one up."""

    async def launch_kernel(self, cmd, **kwargs):
        env = kwargs["env"]
        env.update(kernel_marks, PERIJOVE_NODE_KERNEL=self.kernel_id)
        env.pop("JPY_PARENT_PID", None)
        if any("ipykernel" in part for part in cmd):
            # Without a parent it prints how to connect to it; with this one it does not wait for its end.
            env["JPY_PARENT_PID"] = "1"
        with self.parent.records.output(self.kernel_id) as output:
            streams = {"stdout": output, "stderr": output}
            info = await super().launch_kernel(cmd, **{**streams, **kwargs, "independent": True})
        self.started = start_time(self.process.pid)
        prefer_when_out_of_memory(self.process.pid)
        self.parent.record()
        return info

    def take_up(self, pid, started, cwd):
        self.process = TakenUpProcess(pid, started)
        self.started = started
        self.pid = pid
        # It leads its own session and group.
        self.pgid = pid
        self.cwd = cwd
        self.connection_info = self.parent.get_connection_info()
        if self.parent.cache_ports:
            LocalPortCache.instance().currently_used_ports.update(self.parent.ports)
            self.ports_cached = True

    async def send_signal(self, signum):
        if isinstance(self.process, TakenUpProcess) and self.process.poll() is not None:
            # Its group may have a new leader with the same ID.
            for pid, _, kernel in processes_of_kernels():
                with suppress(OSError):
                    if kernel == self.kernel_id and os.getpgid(pid) == self.pgid:
                        os.kill(pid, signum)
            return
        await super().send_signal(signum)

    async def cleanup(self, restart=False):
        await super().cleanup(restart=restart)
        self.parent.records.report_output(self.kernel_id)


class KeptKernel(ServerKernelManager):
    """A kernel with its record."""

    # Rows of its sessions. None: whoever asked for it with a session has not been answered.
    sessions = None
    # The name of the client that was connected last.
    client_session = None
    _probe = None

    # Whoever asks for a list between the start and the server's note of it gets an answer: without these, a 500.
    @default("execution_state")
    def _execution_state_default(self):
        return "starting"

    @default("last_activity")
    def _last_activity_default(self):
        return datetime.now(timezone.utc)

    @property
    def records(self):
        return self.parent.records

    async def _async_pre_start_kernel(self, **kwargs):
        if self.provisioner is None:
            self.kernel_id = kwargs.pop("kernel_id", None) or self.kernel_id or str(uuid.uuid4())
            about = {"kernel_id": self.kernel_id, "kernel_spec": self.kernel_spec, "parent": self}
            self.provisioner = KernelProvisionerFactory.instance(parent=self.parent).create_provisioner_instance(**about)
            if type(self.provisioner) is LocalProvisioner and self.parent.keeps:
                self.provisioner = KeptProvisioner(**about)
            if "JPY_SESSION_NAME" not in kwargs.get("env", {}):
                self.sessions = []
        return await super()._async_pre_start_kernel(**kwargs)

    def record(self):
        provisioner = self.provisioner
        if not isinstance(provisioner, KeptProvisioner) or not provisioner.has_process or provisioner.started is None:
            return
        cwd, env = self._launch_args.get("cwd"), self._launch_args.get("env")
        record = {
            "here": self.records.here,
            "pid": provisioner.pid,
            "started": provisioner.started,
            "name": self.kernel_name,
            "connection_file": self.connection_file,
            "cwd": cwd if cwd is None else str(cwd),
            "env": env and {name: value for name, value in env.items() if os.environ.get(name) != value},
            "sessions": self.sessions,
            "client": self.client_session,
        }
        self.records.write(self.kernel_id, record)

    def take_up(self, kernel_id, record):
        self.kernel_id = kernel_id
        self.load_connection_file()
        self._connection_file_written = True
        self._attempted_start = True
        self._launch_args = {
            **({} if record["cwd"] is None else {"cwd": record["cwd"]}),
            **({} if record["env"] is None else {"env": {**os.environ, **record["env"]}}),
        }
        self.sessions = record["sessions"]
        self.client_session = record["client"]
        self.provisioner = KeptProvisioner(kernel_id=kernel_id, kernel_spec=self.kernel_spec, parent=self)
        self.provisioner.take_up(record["pid"], record["started"], record["cwd"])
        self._ready = ReadyFuture()
        self._ready.set_result(None)
        # Who connects waits for it, and a kernel answers only between two cells.
        self._kernel_info_future = ReadyFuture()
        self._kernel_info_future.set_result({})
        self.start_restarter()
        if self._restarter is not None:
            self._restarter._initial_startup = False

    def probe(self):
        """It counts as busy until it has answered a request that it answers between two cells."""
        self.execution_state = "busy"
        self._probe = self.connect_shell()
        self.session.send(self._probe, "kernel_info_request")

        def answered(_):
            self.end_probe()
            if self.execution_state == "busy":
                self.execution_state = "idle"

        self._probe.on_recv(answered)

    def end_probe(self):
        if self._probe is not None and not self._probe.closed():
            self._probe.close()
        self._probe = None

    def channels(self):
        """Those of the client that was connected last: to them the kernel sends its answers."""
        channels = {}
        for name in ("iopub", "shell", "control", "stdin"):
            stream = getattr(self, f"connect_{name}")(identity=self.client_session.encode())
            stream.channel = name
            channels[name] = stream
        return channels

    async def _async_cleanup_resources(self, restart=False):
        self.end_probe()
        await super()._async_cleanup_resources(restart=restart)


class OfflineOutput(list):
    """What a kernel says while its page is away: all of it up to a limit, then only what is no output."""

    # What the server sends at once when the page is back: it drops what exceeds its limits for three seconds.
    most_text = 2 << 20
    most_messages = 2_000
    most_bytes = 32 << 20
    kept = {"status", "execute_input"}

    def __init__(self, kernel):
        super().__init__()
        self.kernel = kernel
        self.text = 0
        self.bytes = 0
        self.has_dropped = False

    def append(self, message):
        channel, parts = message
        if channel != "iopub":
            super().append(message)
            return
        session = self.kernel.session
        _, (_, header, parent, *_) = session.feed_identities(parts)
        kind = session.unpack(header)["msg_type"]
        size = sum(map(len, parts))
        text = size if kind == "stream" else 0
        # Once text is missing, all that follows is left out too.
        is_full = (
            (text > 0 and (self.has_dropped or self.text + text > self.most_text))
            or self.bytes + size > self.most_bytes
            or len(self) >= self.most_messages
        )
        if kind in self.kept or not is_full:
            self.text += text
            self.bytes += size
            super().append(message)
        elif not self.has_dropped:
            self.has_dropped = True
            note = {"name": "stderr", "text": "Output is missing here: nobody was connected, and it was too much to keep.\\n"}
            super().append((channel, session.serialize(session.msg("stream", note, parent=session.unpack(parent)))))


class KeptKernels(AsyncMappingKernelManager):
    """All kernels of this node, whichever server has started them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.records = KernelRecords(Path(self.connection_dir) / "kernels", self.log)
        self.keeps = self.records.claim()
        records = self.records.read() if self.keeps else None
        if records is not None:
            for kernel_id, record in records.items():
                try:
                    self._consider(kernel_id, record)
                except Exception as error:
                    self._drop(kernel_id)
                    self.records.set_aside(kernel_id, repr(error))
            IOLoop.current().add_callback(self._end_strangers)
        if self._kernels:
            self.initialize_culler()
        if self.keeps:
            PeriodicCallback(self.records.limit_output, 60_000).start()

    @default("kernel_manager_factory")
    def _kernel_manager_factory_default(self):
        def create(*args, **kwargs):
            if self.shared_context:
                if self.context.closed:
                    self.context = self._context_default()
                kwargs.setdefault("context", self.context)
            return KeptKernel(*args, **kwargs)

        return create

    def _consider(self, kernel_id, record):
        if record["here"] != self.records.here or start_time(record["pid"]) != record["started"]:
            self.log.info("Kernel %s has ended while no server ran", kernel_id)
            self._forget(kernel_id, record)
        elif record["sessions"] is None:
            # It is asked for again, and what asks gets another one.
            self.log.info("Kernel %s has nobody who knows of it", kernel_id)
            self._forget(kernel_id, record)
        else:
            self._take_up(kernel_id, record)
            self.log.info("Kernel taken up: %s", kernel_id)

    def _drop(self, kernel_id):
        kernel = self._kernels.pop(kernel_id, None)
        if kernel is not None:
            kernel.stop_restarter()
        self._kernel_connections.pop(kernel_id, None)
        self._kernel_ports.pop(kernel_id, None)

    def _forget(self, kernel_id, record):
        self.records.report_output(kernel_id)
        self.records.drop(kernel_id)
        file = Path(record["connection_file"])
        if file.parent == Path(self.connection_dir):
            with suppress(OSError):
                file.unlink()

    def _take_up(self, kernel_id, record):
        kernel = self.kernel_manager_factory(
            connection_file=record["connection_file"],
            parent=self,
            log=self.log,
            kernel_name=record["name"],
            kernel_spec_manager=self.kernel_spec_manager,
        )
        kernel.take_up(kernel_id, record)
        self._kernels[kernel_id] = kernel
        self._kernel_connections[kernel_id] = 0
        self._kernel_ports[kernel_id] = kernel.ports
        self.start_watching_activity(kernel_id)
        kernel.probe()
        self.add_restart_callback(kernel_id, lambda: self._handle_kernel_died(kernel_id), "dead")
        KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).inc()
        if kernel.client_session is not None and self.buffer_offline_messages:
            self.start_buffering(kernel_id, f"{kernel_id}:{kernel.client_session}", kernel.channels())

    async def _end_strangers(self):
        kept = {*self._kernels, *self.records.unknown}
        await IOLoop.current().run_in_executor(None, end_strangers, kept, start_time(os.getpid()))

    def start_buffering(self, kernel_id, session_key, channels):
        super().start_buffering(kernel_id, session_key, channels)
        if kernel_id in self._kernel_buffers:
            self._kernel_buffers[kernel_id]["buffer"] = OfflineOutput(self._kernels[kernel_id])

    def get_buffer(self, kernel_id, session_key):
        kernel = self._kernels.get(kernel_id)
        if isinstance(kernel, KeptKernel):
            kernel.client_session = session_key.partition(":")[2]
            kernel.record()
        return super().get_buffer(kernel_id, session_key)

    def remove_kernel(self, kernel_id):
        self.records.drop(kernel_id)
        return super().remove_kernel(kernel_id)


class KeptSessions(SessionManager):
    """The sessions of kept kernels: each kernel's record has them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rows = {}
        for kernel_id, kernel in self.kernel_manager._kernels.items():
            for row in kernel.sessions:
                rows[row["id"]] = (row["id"], row["path"], row["name"], row["type"], kernel_id)
        self.cursor.executemany("INSERT INTO session VALUES (?,?,?,?,?)", rows.values())

    def _record(self):
        rows = self.cursor.execute("SELECT session_id AS id, path, name, type, kernel_id FROM session").fetchall()
        for kernel_id, kernel in self.kernel_manager._kernels.items():
            own = [{key: row[key] for key in ("id", "path", "name", "type")} for row in rows if row["kernel_id"] == kernel_id]
            if own or kernel.sessions is not None:
                kernel.sessions = own
            kernel.record()

    async def save_session(self, *args, **kwargs):
        saved = await super().save_session(*args, **kwargs)
        self._record()
        return saved

    async def update_session(self, *args, **kwargs):
        await super().update_session(*args, **kwargs)
        self._record()

    async def delete_session(self, *args, **kwargs):
        await super().delete_session(*args, **kwargs)
        self._record()


c.ServerApp.kernel_manager_class = KeptKernels
c.ServerApp.session_manager_class = KeptSessions
`;
