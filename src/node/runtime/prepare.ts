import { access, chmod, constants, mkdir, readFile, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { PerijoveError } from '../../errors/error.js';
import { jupyterConfig, jupyterPageConfig } from '../../jupyter/config.js';
import { lazyRfc3987Syntax } from '../../jupyter/lazy-imports.js';
import { nodeEnvironment, type NodeConfig } from '../config.js';
import { isMissing, replaceFile } from '../../net/files.js';
import { marks, nodeLayout, serviceNames } from '../layout.js';
import { nodeScripts, type Programs } from '../scripts.js';
import { knownHosts, sshdConfig } from './sshd.js';
import { storeStartedNode } from './started.js';

/** Directories of administrative programs, which a task's PATH may lack. */
const standardPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The environment of everything that runs in the node. */
export function nodeEnvironmentOf(config: NodeConfig, own: NodeJS.ProcessEnv): Record<string, string> {
  const { bin, base, home } = nodeLayout(config.paths.base);
  const given = Object.entries(own).flatMap(([name, value]): [string, string][] =>
    value === undefined || isNodes(name) ? [] : [[name, value]],
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
  for (const directory of [layout.base, layout.bin, layout.etc, layout.log, layout.run]) {
    await mkdir(directory, { recursive: true, mode: 0o755 });
  }
  for (const directory of [
    layout.home,
    layout.data,
    layout.etcdData,
    `${layout.run}/jupyter`,
    layout.lazyImports,
  ]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  }
  // etcd refuses a data directory that others can read.
  await chmod(layout.etcdData, 0o700);
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

  await storeStartedNode({ config, programs });
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
  await replaceFile(
    layout.jupyterConfig,
    jupyterConfig({
      socket: layout.jupyterSocket,
      notebooks: config.jupyter.notebooks,
      tokenFile: `${config.paths.secrets}/jupyter-token`,
      cookieSecretFile: `${config.paths.secrets}/jupyter-cookie-secret`,
      lazyImports: layout.lazyImports,
      shell: `${layout.bin}/session`,
      asRoot: uid === 0,
    }),
    0o600,
  );
  await mkdir(path.dirname(layout.jupyterPage), { recursive: true, mode: 0o700 });
  await replaceFile(layout.jupyterPage, jupyterPageConfig);
  await replaceFile(`${layout.lazyImports}/rfc3987_syntax.py`, lazyRfc3987Syntax);

  await rm(layout.service, { recursive: true, force: true });
  for (const service of serviceNames) {
    await mkdir(`${layout.service}/${service}/log`, { recursive: true });
    await mkdir(`${layout.log}/${service}`, { recursive: true });
    await replaceFile(`${layout.log}/${service}/config`, 's1000000\nn5\n');
  }
  if (config.jupyter.standby === 'cold') await replaceFile(`${layout.service}/jupyter/down`, '');
  for (const script of nodeScripts(config, programs)) await replaceFile(script.path, script.text, 0o755);

  // sshd as root needs this directory for its unprivileged half; packages create it only at boot.
  if (uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  await mkdir(config.jupyter.notebooks, { recursive: true });
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
