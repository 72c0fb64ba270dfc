import { execFile } from 'node:child_process';
import {
  access,
  chmod,
  constants,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rm,
} from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { UserIds } from '../../cluster/spec.js';
import { PerijoveError } from '../../errors/error.js';
import { jupyterConfig, jupyterPageConfig } from '../../jupyter/config.js';
import { lazyRfc3987Syntax } from '../../jupyter/lazy-imports.js';
import { terminalPrefix } from '../../jupyter/terminals.js';
import { nodeEnvironment, type NodeConfig } from '../config.js';
import { etcdUser, userName } from '../identity.js';
import { isMissing, replaceFile } from '../../net/files.js';
import { kernelMarks, marks, nodeLayout, serviceNames, userOomScore } from '../layout.js';
import { nodeScripts, type Identities, type Programs } from '../scripts.js';
import { knownHosts, sshdConfig } from './sshd.js';
import { storeStartedNode } from './started.js';
import { interpreterOf, requireSight, userOf, viewFor, withAccount } from './user.js';

/** Directories of administrative programs, which a task's PATH may lack. */
const standardPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/**
 * What a process takes over from its executor, which exports what is for itself: locale and time zone, and Mesos' mark of
 * the task's processes, by which the stand-in ends them.
 */
const takenOver = /^(?:LANG|LANGUAGE|LC_[A-Z]+|TZ|MESOS_CONTAINER_ID)$/;

/** The environment of everything that runs in the node. A container keeps that of its image. */
export function nodeEnvironmentOf(config: NodeConfig, own: NodeJS.ProcessEnv): Record<string, string> {
  const { bin, base, home } = nodeLayout(config.paths.base);
  const isKept = (name: string) =>
    config.ownsMachine ? !isNodes(name) : takenOver.test(name) || (config.variables ?? []).includes(name);
  const given = Object.entries(own).flatMap(([name, value]): [string, string][] =>
    value === undefined || !isKept(name) ? [] : [[name, value]],
  );
  const search = [bin, ...(own['PATH'] ?? '').split(':').filter(Boolean), ...standardPath];
  return {
    // Mesos gives a task no locale, and a terminal without one treats text as bytes.
    LANG: 'C.UTF-8',
    ...Object.fromEntries(given),
    HOME: config.ownsMachine ? userInfo().homedir : home,
    PATH: [...new Set(search)].join(':'),
    NODE: config.name,
    [marks.tree]: base,
  };
}

function isNodes(name: string): boolean {
  return (
    name.startsWith('PERIJOVE_NODE_') ||
    name === nodeEnvironment.etcdFormed ||
    name === nodeEnvironment.etcdEpoch
  );
}

/** Makes the directories of the node's tree; existing content stays. */
export async function makeTree(config: NodeConfig): Promise<void> {
  const layout = nodeLayout(config.paths.base);
  const user = userOf(config);
  for (const directory of [layout.base, layout.bin, layout.etc, layout.log, layout.run]) {
    await mkdir(directory, { recursive: true, mode: 0o755 });
    // An earlier node may have made it for root alone.
    if (user !== undefined) await chmod(directory, directory === layout.log ? 0o700 : 0o755);
  }
  for (const directory of [layout.data, path.dirname(layout.jupyterConfig), layout.lazyImports]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (user !== undefined) await chmod(directory, 0o755);
  }
  await mkdir(layout.etcdData, { recursive: true, mode: 0o700 });
  // etcd refuses a data directory that others can read.
  await chmod(layout.etcdData, 0o700);
  for (const directory of [layout.home, layout.jupyterRun, layout.jupyterData, layout.ipython]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (user !== undefined) await giveTree(directory, user);
  }
}

/** Of a node that ran as another user. What the user of the node has put there is never followed by root again. */
async function giveTree(directory: string, { uid, gid }: UserIds): Promise<void> {
  const found = await lstat(directory);
  if (found.uid === uid && found.gid === gid) return;
  await promisify(execFile)('chown', ['-hRP', `${uid}:${gid}`, directory]);
}

/**
 * Writes all files that the node's services read. Nothing of the node may run. Throws NODE_CONFIG_INVALID
 * when a program or a secret that it needs is missing.
 */
export async function writeTree(config: NodeConfig, environment: Record<string, string>): Promise<void> {
  const layout = nodeLayout(config.paths.base);
  const search = (environment['PATH'] ?? '').split(':').filter((directory) => directory !== layout.bin);
  const find = (program: string) => findProgram(program, search);
  const programs: Programs = {
    etcd: await find(config.etcd.executable),
    jupyter: await find(config.jupyter.executable),
    sshd: await find('sshd'),
    ssh: await find('ssh'),
    scp: await find('scp'),
    sftp: await find('sftp'),
    svlogd: await find('svlogd'),
  };
  const { username, uid } = userInfo();
  const sftpServer = await findSftpServer();
  const secret = (name: string) => readSecret(config, name);

  await writeUserSecrets(config);
  const as = await prepareUser(config, programs);

  await storeStartedNode({ config, programs });
  await replaceFile(layout.hostKey, await secret('node-host-key'), 0o600);
  await replaceFile(layout.authorizedKeys, await secret('node-ssh-key.pub'), 0o600);
  await replaceFile(layout.knownHosts, knownHosts(config, await secret('node-host-key.pub')));
  await replaceFile(
    layout.sshdConfig,
    sshdConfig(config, {
      user: username,
      locked: await isLocked(username),
      ...(sftpServer === undefined ? {} : { sftpServer }),
      environment: sessionEnvironment(environment),
    }),
  );
  await writeJupyterFiles(config);

  await rm(layout.service, { recursive: true, force: true });
  for (const service of serviceNames) {
    await mkdir(`${layout.service}/${service}/log`, { recursive: true });
    await mkdir(`${layout.log}/${service}`, { recursive: true });
    await replaceFile(`${layout.log}/${service}/config`, 's1000000\nn5\n');
  }
  await mkdir(`${layout.service}/jupyter/control`);
  if (config.jupyter.standby === 'cold') await replaceFile(`${layout.service}/jupyter/down`, '');
  for (const script of nodeScripts(config, programs, as)) await replaceFile(script.path, script.text, 0o755);

  // sshd as root needs this directory for its unprivileged half; packages create it only at boot.
  if (uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  await makeNotebooks(config);
}

async function writeJupyterFiles(config: NodeConfig): Promise<void> {
  const layout = nodeLayout(config.paths.base);
  const secrets = layout.userSecrets;
  const user = userOf(config);
  await replaceFile(
    layout.jupyterConfig,
    jupyterConfig({
      socket: layout.jupyterSocket,
      notebooks: config.jupyter.notebooks,
      terminalPrefix: terminalPrefix(config.name),
      tokenFile: `${secrets}/jupyter-token`,
      cookieSecretFile: `${secrets}/jupyter-cookie-secret`,
      lazyImports: layout.lazyImports,
      shell: `${layout.bin}/session`,
      asRoot: userInfo().uid === 0 && user === undefined,
      kernelMarks: kernelMarks(layout.base),
      oomScore: userOomScore,
    }),
    user === undefined ? 0o600 : 0o644,
  );
  await mkdir(path.dirname(layout.jupyterPage), {
    recursive: true,
    mode: user === undefined ? 0o700 : 0o755,
  });
  await replaceFile(layout.jupyterPage, jupyterPageConfig);
  await replaceFile(`${layout.lazyImports}/rfc3987_syntax.py`, lazyRfc3987Syntax);
}

/** A directory without any file is given to the user of the node; any other one stays as it is. */
async function makeNotebooks(config: NodeConfig): Promise<void> {
  const { notebooks } = config.jupyter;
  await mkdir(notebooks, { recursive: true });
  const user = userOf(config);
  if (user === undefined || (await readdir(notebooks)).length > 0) return;
  // A storage that does not let root do this shows its own way of permissions.
  await lchown(notebooks, user.uid, user.gid).catch((error: unknown) => {
    if (!isRefused(error)) throw error;
  });
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EPERM' || error.code === 'EACCES');
}

/** Everything by which services become the user of the node; undefined where they do not. */
async function prepareUser(config: NodeConfig, programs: Programs): Promise<Identities | undefined> {
  const user = userOf(config);
  if (user === undefined) return undefined;
  const layout = nodeLayout(config.paths.base);
  await requireSight();
  const accounts = withAccount(await readFile('/etc/passwd', 'utf8'), user, layout.home);
  await replaceFile(layout.accounts, accounts);
  await mkdir(config.jupyter.notebooks, { recursive: true });
  const view = await viewFor(user, [
    layout.base,
    config.jupyter.notebooks,
    ...(await placesOf(programs.jupyter)),
  ]);
  // Its program is the machine's, and its data are in the tree.
  const etcdView = await viewFor(etcdUser, [layout.base, ...(await placesOf(programs.etcd))]);
  return {
    user: {
      identity: { ...user, account: { name: userName, home: layout.home } },
      ...(view && { view: { ...view, accounts: layout.accounts } }),
    },
    etcd: { identity: etcdUser, ...(etcdView && { view: etcdView }) },
  };
}

/** The directories of a program and of its interpreter: those above their `bin`. */
async function placesOf(program: string): Promise<string[]> {
  const real = await realpath(program);
  await using file = await open(real);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4_096), 0, 4_096, 0);
  const head = buffer.subarray(0, bytesRead).toString('latin1');
  const interpreter = interpreterOf(head);
  const files = [
    program,
    real,
    ...(interpreter === undefined ? [] : [interpreter, await realpath(interpreter)]),
  ];
  return files.map((each) => path.dirname(path.dirname(each)));
}

/**
 * Copies, so that all that runs in the node has the same ones until it is replaced. ssh refuses a key that others may read,
 * but not one of its own user. The rest belongs to whoever started the node.
 */
async function writeUserSecrets(config: NodeConfig): Promise<void> {
  const own = { uid: userInfo().uid, gid: userInfo().gid };
  const { uid, gid } = userOf(config) ?? own;
  const { userSecrets: directory } = nodeLayout(config.paths.base);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o755 });
  for (const name of ['jupyter-token', 'jupyter-cookie-secret'] as const) {
    await writeSecret(`${directory}/${name}`, await readSecret(config, name), { uid: own.uid, gid }, 0o440);
  }
  await writeSecret(
    `${directory}/node-ssh-key`,
    await readSecret(config, 'node-ssh-key'),
    { uid, gid },
    0o400,
  );
}

export async function writeSecret(
  file: string,
  text: string,
  { uid, gid }: UserIds,
  mode: number,
): Promise<void> {
  await using handle = await open(file, 'wx', 0o600);
  await handle.writeFile(text);
  await handle.chown(uid, gid);
  await handle.chmod(mode);
}

/** The text of a secret's file. Throws NODE_CONFIG_INVALID when it is missing or empty. */
export async function readSecret(config: Pick<NodeConfig, 'paths'>, name: string): Promise<string> {
  const file = `${config.paths.secrets}/${name}`;
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '';
    throw error;
  });
  if (text.trim() === '') {
    throw new PerijoveError('NODE_CONFIG_INVALID', `the secret ${name} is missing`, { file });
  }
  return text;
}

async function findProgram(program: string, search: readonly string[]): Promise<string> {
  const candidates = path.isAbsolute(program) ? [program] : search.map((each) => path.join(each, program));
  for (const candidate of candidates) {
    if (await isThere(candidate, constants.X_OK)) return candidate;
  }
  throw new PerijoveError('NODE_CONFIG_INVALID', `program not found: ${program}`, { subject: program });
}

async function findSftpServer(): Promise<string | undefined> {
  const known = [
    '/usr/lib/openssh/sftp-server',
    '/usr/libexec/openssh/sftp-server',
    '/usr/lib/ssh/sftp-server',
  ];
  for (const candidate of known) if (await isThere(candidate, constants.X_OK)) return candidate;
  return undefined;
}

/** What SSH sessions get of the node's environment: program paths, and the marks of their processes. */
function sessionEnvironment(environment: Record<string, string>): Record<string, string> {
  const kept = Object.entries(environment).filter(
    ([name, value]) =>
      (['PATH', 'NODE', marks.tree].includes(name) || name.startsWith('PERIJOVE_')) && !/["\n\\]/.test(value),
  );
  return Object.fromEntries(kept);
}

async function isLocked(user: string): Promise<boolean> {
  // Only root can read it, and another user's sshd cannot read it either.
  const shadow = await readFile('/etc/shadow', 'utf8').catch(() => '');
  return shadow.split('\n').some((line) => line.startsWith(`${user}:!`));
}

async function isThere(file: string, mode: number): Promise<boolean> {
  return access(file, mode).then(
    () => true,
    () => false,
  );
}
