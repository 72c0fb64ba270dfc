/**
 * ZooKeeper, Mesos masters and agents on the three hosts of a lab, by Ansible and by Perijove in turn: from nothing, again
 * with nothing changed, and with one changed flag of the masters. Ansible writes the very files that Perijove wrote,
 * below its own directory, and both copy the stand-in's programs. Perijove's later stages (nodes, etcd, keeper)
 * are subtracted from its time; its command line, Temporal and the checks of hosts are not.
 *
 *     python3 -m venv DIRECTORY && DIRECTORY/bin/pip install ansible-core mitogen
 *     npm run bench:deploy -- DIRECTORY [rounds, 5 by default]
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { hostPaths } from '../src/hosts/paths.js';
import { parseCredential } from '../src/mesos/masters/http.js';
import type { StageName } from '../src/deployment/stages.js';
import { BenchLab } from './lab.js';
import { printTable, seconds, summary, writeResult } from './report.js';

const run = promisify(execFile);
const [venv = '', roundsGiven = '5'] = process.argv.slice(2);
const rounds = Number(roundsGiven);
if (!existsSync(path.join(venv, 'bin', 'ansible-playbook'))) throw new Error('which virtual environment?');

const steps = ['first deployment', 'nothing changed', 'one changed flag'] as const;
type Step = (typeof steps)[number];
/** After agents; Ansible does nothing like them. */
const laterStages = new Set<StageName>(['image', 'framework', 'etcd', 'keeper', 'removal', 'verify']);
const services = ['zookeeper', 'mesos-master', 'mesos-agent'];
const files = [
  ...['mesos-master.mjs', 'mesos-agent.mjs', 'mesos-executor.mjs'].map((name) => `bin/${name}`),
  ...['etc/secrets/zookeeper-digest', 'etc/secrets/mesos-credential'],
  ...['etc/zookeeper/zoo.cfg', 'data/zookeeper/myid'],
];
/** A flag that changes no behaviour here. */
const flag = 'max_completed_frameworks';

/** An inventory and files for Ansible in `directory`. @returns the flag's value in the files */
async function record(lab: BenchLab, directory: string): Promise<void> {
  const { hosts } = await lab.spec();
  const lines: string[] = [];
  for (const host of hosts) {
    const { dir } = host;
    const { secrets } = hostPaths(host);
    const base = `${dir}-ansible`;
    const target = path.join(directory, 'files', host.name);
    for (const name of files) {
      mkdirSync(path.dirname(path.join(target, name)), { recursive: true });
      writeFileSync(path.join(target, name), own(path.join(dir, name), dir, base));
    }
    for (const service of services) copyService(path.join(dir, 'service', service), target, dir, base);
    const { principal, secret } = parseCredential(
      readFileSync(path.join(secrets, 'mesos-credential'), 'utf8'),
    );
    const key = host.ssh.keyFile ?? '';
    lines.push(
      `${host.name} ansible_host=${host.address} ansible_port=${host.ssh.port} ansible_user=${host.ssh.user} ` +
        `ansible_ssh_private_key_file=${key} ansible_python_interpreter=/usr/bin/python3 base=${base} ` +
        `node=${process.execPath} principal=${principal} secret=${secret}`,
    );
  }
  writeFileSync(path.join(directory, 'inventory'), `${lines.join('\n')}\n`);
  for (const name of ['site.yaml', 'clean.yaml']) cpSync(`bench/ansible/${name}`, path.join(directory, name));
}

const own = (file: string, dir: string, base: string) => {
  const content = readFileSync(file);
  return file.endsWith('.mjs') ? content : content.toString('utf8').replaceAll(dir, base);
};

function copyService(from: string, target: string, dir: string, base: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const inside = path.relative(from, file);
    if (!entry.isFile() || inside.split(path.sep).includes('supervise')) continue;
    const copy = path.join(target, 'service', path.basename(from), inside);
    mkdirSync(path.dirname(copy), { recursive: true });
    writeFileSync(copy, own(file, dir, base), { mode: 0o755 });
  }
}

/** The other value of the flag in what Ansible copies. */
function changeFlag(directory: string): void {
  for (const host of readdirSync(path.join(directory, 'files'))) {
    const file = path.join(directory, 'files', host, 'service', 'mesos-master', 'run');
    const text = readFileSync(file, 'utf8');
    const changed = text.replace(new RegExp(`(--${flag}=)(\\d+)`), (_, name: string, value: string) => {
      return `${name}${Number(value) === 40 ? 41 : 40}`;
    });
    if (changed === text) throw new Error(`${file} does not set ${flag}`);
    writeFileSync(file, changed);
  }
}

interface Way {
  readonly name: string;
  readonly environment: NodeJS.ProcessEnv;
}

const pipelined: NodeJS.ProcessEnv = {
  ANSIBLE_PIPELINING: 'True',
  ANSIBLE_HOST_KEY_CHECKING: 'False',
  ANSIBLE_FORKS: '3',
  ANSIBLE_NOCOLOR: '1',
};

async function playbook(directory: string, name: string, environment: NodeJS.ProcessEnv): Promise<number> {
  const begun = performance.now();
  await run(path.join(venv, 'bin', 'ansible-playbook'), ['-i', 'inventory', name], {
    cwd: directory,
    env: { ...process.env, ...environment },
    maxBuffer: 64 * 1024 * 1024,
  });
  return performance.now() - begun;
}

async function strategyOfMitogen(): Promise<string | undefined> {
  const find = 'import ansible_mitogen, os; print(os.path.dirname(ansible_mitogen.__file__))';
  const found = await run(path.join(venv, 'bin', 'python'), ['-c', find]).catch(() => undefined);
  return found && path.join(found.stdout.trim(), 'plugins', 'strategy');
}

/** Perijove's time without the stages after agents. */
async function up(lab: BenchLab): Promise<number> {
  const begun = performance.now();
  const { stages } = JSON.parse(await lab.command('up', '--json')) as {
    readonly stages: readonly { readonly name: StageName; readonly ms: number }[];
  };
  const all = performance.now() - begun;
  console.log(stages.map(({ name, ms }) => `${name} ${ms} ms`).join(', '));
  return all - stages.filter(({ name }) => laterStages.has(name)).reduce((sum, { ms }) => sum + ms, 0);
}

const times = new Map<string, Record<Step, number[]>>();
function note(way: string, step: Step, ms: number): void {
  const of = times.get(way) ?? { 'first deployment': [], 'nothing changed': [], 'one changed flag': [] };
  of[step].push(ms);
  times.set(way, of);
  console.log(`${way}, ${step}: ${seconds(ms)}`);
}

const lab = new BenchLab('127.96');
const failed: string[] = [];
try {
  await lab.up();
  await lab.set('mesos', { master: `{ flags: { ${flag}: 40 } }` });
  const directory = lab.file('ansible');
  await record(lab, directory);
  const mitogen = await strategyOfMitogen();
  const ways: Way[] = [
    { name: 'Ansible', environment: pipelined },
    ...(mitogen === undefined
      ? []
      : [
          {
            name: 'Ansible with Mitogen',
            environment: {
              ...pipelined,
              ANSIBLE_STRATEGY: 'mitogen_linear',
              ANSIBLE_STRATEGY_PLUGINS: mitogen,
            },
          },
        ]),
  ];
  for (let round = 0; round < rounds; round += 1) {
    await lab.command('down', '--purge', '--yes');
    for (const { name, environment } of ways.filter((way) => !failed.includes(way.name))) {
      try {
        note(name, 'first deployment', await playbook(directory, 'site.yaml', environment));
        note(name, 'nothing changed', await playbook(directory, 'site.yaml', environment));
        changeFlag(directory);
        note(name, 'one changed flag', await playbook(directory, 'site.yaml', environment));
      } catch (error) {
        const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string };
        console.log(`${name} failed:\n${stdout.slice(-2_000)}\n${stderr.slice(-1_000)}`);
        failed.push(name);
      } finally {
        await playbook(directory, 'clean.yaml', pipelined);
      }
    }
    note('Perijove', 'first deployment', await up(lab));
    await lab.ready();
    note('Perijove', 'nothing changed', await up(lab));
    lab.write('mesos', { master: `{ flags: { ${flag}: ${round % 2 === 0 ? 41 : 40} } }` });
    note('Perijove', 'one changed flag', await up(lab));
  }
} finally {
  await lab.purge();
}

const rows = [...times].map(([way, of]) => ({
  way,
  steps: Object.fromEntries(steps.map((step) => [step, { ...summary(of[step]), runs: of[step] }])),
}));
const perijove = times.get('Perijove');
const range = (values: readonly number[]) => {
  const { min, median, max } = summary(values);
  return `${seconds(median)} (${seconds(min)}–${seconds(max)})`;
};
printTable([
  ['', ...steps],
  ...[...times].map(([way, of]) => [way, ...steps.map((step) => range(of[step]))]),
  ...[...times]
    .filter(([way]) => way !== 'Perijove')
    .map(([way, of]) => [
      `${way} / Perijove`,
      ...steps.map((step) =>
        perijove === undefined ? '-' : (summary(of[step]).median / summary(perijove[step]).median).toFixed(1),
      ),
    ]),
]);
writeResult('deploy', { rounds, failed, rows });
