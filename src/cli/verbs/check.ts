import { readFileSync } from 'node:fs';
import { expiryOf, expiryText, validUntil, type Expiry } from '../../cluster/certificate.js';
import type { HostFacts } from '../../hosts/facts.js';
import { exitCodes } from '../../errors/error.js';
import { doorsOf, notebookUser, trustedAtFirstSight, type Door } from '../../cluster/exposure.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import { listens } from '../../net/listens.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { printJson, printText, textColumns } from '../io.js';
import { blockText, exitCodeOf, grouped, problemLines, withCommands } from '../report.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import type { Survey } from '../../deployment/cluster-survey.js';
import { hanging, table } from '../table.js';

export const checkCommand = defineCommand({
  name: 'check',
  summary: 'check the spec and every host for what would block a deployment',
  description:
    'Reads the spec, connects to every host, and checks packages, ports, disks, clocks and permissions. It ' +
    'changes nothing on the hosts. The key of a host that is not known yet is pinned, and its fingerprint ' +
    'printed: compare it with the fingerprint on the host. At the end it lists the ports that the cluster ' +
    'opens, who gets in, and which of them accept connections from this machine now.',
  args: { file: fileArgument },
  options: { file: fileOption },
  async run(context, { args, options }) {
    const { spec, file } = await openSpec(context, givenFile(args.file, options.file), { files: true });
    const pins = knownHostsDir(context.env);
    const survey = await withHosts(context, async (pool) => {
      const { surveyCluster } = await import('../../deployment/cluster-survey.js');
      return surveyCluster(pool, spec, pins, context.signal);
    });
    const { hosts, pinned, problems } = survey;
    const exposure = await exposureOf(
      spec,
      hosts.flatMap(({ facts }) => (facts === undefined ? [] : [facts.host])),
    );
    if (context.json) {
      const facts = hosts.map((each) => each.facts);
      const firstSight = trustedAtFirstSight(spec);
      const certificate = certificateEnd(spec, new Date());
      printJson(context, {
        ...{ cluster: spec.name, hosts: facts, pinned, problems, exposure, firstSight },
        notebooks: notebookUser(spec),
        ...(certificate && { certificate, certificateValidUntil: certificate.validUntil }),
      });
    } else printText(context, checkText(spec, file, survey, exposure, context));
    const [first] = problems;
    return first === undefined ? exitCodes.done : exitCodeOf(first.code);
  },
});

function checkText(
  spec: ClusterSpec,
  file: string,
  { hosts, pinned, problems }: Survey,
  exposure: readonly Exposure[],
  context: CommandContext,
): string {
  const { colors } = context;
  const columns = textColumns(context);
  const shown = grouped(problems).map((problem) => withCommands(problem, context.program));
  const rows = spec.hosts.map((host) => {
    const facts = hosts.find((each) => each.host === host.name)?.facts;
    const hasProblem = problems.some((problem) => problem.host === host.name);
    const state =
      facts === undefined ? colors.dim('-') : hasProblem ? colors.red('see below') : colors.green('ok');
    return [host.name, host.address, state, ...(facts ? factCells(facts) : [])];
  });
  const head = ['host', 'address', 'state', 'system', 'cpus', 'memory', 'free', 'services'].map((name) =>
    colors.dim(name),
  );
  const lines = [
    ...table([head, ...rows], columns),
    ...pinned.flatMap(({ host, fingerprint }, index) => [
      ...(index === 0 ? [''] : []),
      ...hanging('', `pinned the key of ${host}: ${fingerprint}`, columns),
    ]),
    ...shown.flatMap((problem) => ['', ...problemLines(problem, colors, columns)]),
    '',
    ...exposureLines(exposure, context),
    ...notebookLines(spec, context),
    ...certificateLines(spec, context),
    ...firstSightLines(spec, context),
    '',
    problems.length === 0
      ? `${file}: ${colors.green('no problems found')}`
      : `${file}: ${colors.red(blockText(shown.length))}`,
  ];
  return `${lines.join('\n')}\n`;
}

interface Exposure extends Omit<Door, 'places'> {
  /** Hosts whose port accepts connections from this machine; null for ports of nodes, which are not tried. */
  readonly reached: readonly string[] | null;
}

const reachMs = 1_000;

/** Tries only hosts that were reached by SSH: the others would take the whole time limit. */
async function exposureOf(spec: ClusterSpec, responding: readonly string[]): Promise<readonly Exposure[]> {
  return await Promise.all(
    doorsOf(spec).map(async ({ places, ...door }) => {
      const tried = places.filter(({ host }) => responding.includes(host));
      const answers = await Promise.all(
        tried.map(async ({ host, address, port }) =>
          (await listens(`${address}:${port}`, reachMs)) ? host : undefined,
        ),
      );
      const reached = [...new Set(answers.filter((host) => host !== undefined))];
      return { ...door, reached: places.length === 0 ? null : reached };
    }),
  );
}

/** When the certificate for HTTPS ends; undefined without one. An expired one has ended the command before. */
function certificateEnd({ proxy: { tls } }: ClusterSpec, now: Date): Expiry | undefined {
  const until = tls && validUntil(readFileSync(tls.certificateFile, 'utf8'));
  return until && expiryOf(until, now);
}

function certificateLines(spec: ClusterSpec, context: CommandContext): string[] {
  const now = new Date();
  const expiry = certificateEnd(spec, now);
  if (expiry === undefined) return [];
  const text = `The certificate for HTTPS ${expiryText(expiry, now)}.`;
  const advice = ` Renew it, then run \`${context.program} up\`.`;
  const shown = expiry.state === 'valid' ? text : context.colors.yellow(`${text}${advice}`);
  return hanging('', shown, textColumns(context));
}

function exposureLines(exposure: readonly Exposure[], context: CommandContext): string[] {
  const { colors } = context;
  const columns = textColumns(context);
  const head = ['exposure', 'port', 'who gets in', 'reached from here'].map((name) => colors.dim(name));
  const rows = exposure.map(({ door, ports, who, open, reached }) => [
    door,
    ports.join(', '),
    open ? colors.yellow(who) : who,
    reached === null ? colors.dim('not tried') : reached.join(', ') || '-',
  ]);
  const keys = [...new Set(exposure.flatMap(({ closedBy }) => closedBy ?? []))];
  const advice =
    keys.length === 0
      ? 'Keep others out of the ports for everyone with a firewall.'
      : `Close doors with ${keys.map((key) => `\`${key}\``).join(' and ')}, and keep others out of the rest with a firewall.`;
  const hiding = exposure.flatMap(({ protectedBy }) => protectedBy ?? []);
  const encrypt = hiding.map((key) => ` Encrypt what passes with \`${key}\`.`).join('');
  return [
    ...table([head, ...rows], columns),
    ...hanging('', `${advice}${encrypt} See docs/security.md.`, columns),
  ];
}

function notebookLines(spec: ClusterSpec, context: CommandContext): string[] {
  const { who, apart } = notebookUser(spec);
  const isRoot = (spec.nodes.user?.uid ?? 0) === 0;
  const text = `Notebooks run as ${who}.${isRoot && spec.nodes.containerizer === 'mesos' ? ' Set `nodes.user` to another user.' : ''}`;
  return hanging('', apart ? text : context.colors.yellow(text), textColumns(context));
}

function firstSightLines(spec: ClusterSpec, context: CommandContext): string[] {
  const hosts = trustedAtFirstSight(spec);
  if (hosts.length === 0) return [];
  const line = `The SSH keys of ${hosts.join(', ')} are trusted at first sight, once for the deployment: the spec has no \`hostKeys\` for them. \`${context.program} host-keys\` prints them. See docs/how-to/host-key.md.`;
  return ['', ...hanging('', line, textColumns(context))];
}

function factCells({ os, cpus, memoryBytes, freeBytes, init }: HostFacts): string[] {
  return [
    os.name,
    String(cpus),
    gibibytes(memoryBytes),
    gibibytes(freeBytes),
    init.systemd ? 'systemd' : init.runit ? 'runit' : '-',
  ];
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
