import { keptKernels } from './kept-kernels.js';
import { kernelRecords } from './kernel-records.js';
import { wholeFiles } from './saving.js';
import { sharedTrust } from './trust.js';

export interface JupyterSettings {
  /** Path of its Unix socket. */
  readonly socket: string;
  readonly notebooks: string;
  /** What the names of its terminals begin with, and of no other node's: `terminalPrefix`. */
  readonly terminalPrefix: string;
  readonly tokenFile: string;
  readonly cookieSecretFile: string;
  /** Directory that is first in PYTHONPATH at the start, and hidden from kernels. */
  readonly lazyImports: string;
  /** The shell of terminals. */
  readonly shell: string;
  readonly asRoot: boolean;
  /** In the environment of its kernels, which outlive it, and of nothing else. */
  readonly kernelMarks: Readonly<Record<string, string>>;
  /** `oom_score_adj` of kernels. */
  readonly oomScore: number;
}

/**
 * JupyterLab's configuration, in Python. It names the files of the secrets but contains none, so that no
 * secret is on a command line, in the environment of kernels, or in a second file.
 */
export function jupyterConfig(settings: JupyterSettings): string {
  const {
    socket,
    notebooks,
    terminalPrefix,
    tokenFile,
    cookieSecretFile,
    lazyImports,
    shell,
    asRoot,
    kernelMarks,
  } = settings;
  return `import os
from functools import partial
import jupyter_server.serverapp as server_module

# The gate connects once for each connection of people, and a Unix socket refuses at once when its queue is full: by
# default with 128 that a server which is busy for a moment has not accepted. Linux limits it to net.core.somaxconn.
server_module.bind_unix_socket = partial(server_module.bind_unix_socket, backlog=4096)

c = get_config()
notebooks = ${python(notebooks)}
c.ServerApp.sock = ${python(socket)}
c.ServerApp.sock_mode = "0600"
# With a socket it refuses any other port than this one, its default, which the environment could change.
c.ServerApp.port = 8888
c.ServerApp.open_browser = False
c.ServerApp.allow_root = ${asRoot ? 'True' : 'False'}
c.ServerApp.root_dir = notebooks
c.ServerApp.preferred_dir = notebooks
with open(${python(tokenFile)}) as token:
    c.IdentityProvider.token = token.read().strip()
# The same on every node: a login outlives a move.
c.ServerApp.cookie_secret_file = ${python(cookieSecretFile)}
with open(c.ServerApp.cookie_secret_file, "rb") as file:
    cookie_secret = file.read()
# Users come through a proxy that keeps their Host header, which is not this server's address. The check of
# the Origin header stays on: it must match that Host header.
c.ServerApp.allow_remote_access = True
c.ServerApp.terminado_settings = {"shell_command": [${python(shell)}]}
# Through every host, people see the terminals of all nodes.
try:
    from terminado.management import NamedTermManager
    NamedTermManager.name_template = ${python(terminalPrefix)} + "%d"
except ImportError:
    pass
# It was for the start of this server alone.
path = [entry for entry in os.environ.get("PYTHONPATH", "").split(":") if entry not in ("", ${python(lazyImports)})]
os.environ["PYTHONPATH"] = ":".join(path)
if not path:
    del os.environ["PYTHONPATH"]
# Nodes have no way out of the cluster, and a package that is installed on one node is missing on the next.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

${wholeFiles}

${sharedTrust}
kernel_marks = ${dictionary(kernelMarks)}
kernel_oom_score = ${settings.oomScore}
${kernelRecords}
${keptKernels}`;
}

/** JupyterLab's `page_config.json`: disables the question whether to fetch news, which nodes cannot. */
export const jupyterPageConfig = `${JSON.stringify(
  { disabledExtensions: { '@jupyterlab/apputils-extension:announcements': true } },
  null,
  2,
)}\n`;

function dictionary(entries: Readonly<Record<string, string>>): string {
  const items = Object.entries(entries).map(([name, value]) => `${python(name)}: ${python(value)}`);
  return `{${items.join(', ')}}`;
}

/** A Python string literal: JSON's are valid ones if they contain only ASCII. */
function python(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u{10ffff}]/gu,
    (character) => `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`,
  );
}
