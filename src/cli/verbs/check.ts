import { readFileSync } from 'node:fs';
import { expiryOf, expiryText, validUntil, type Expiry } from '../../cluster/certificate.js';
import type { HostFacts } from '../../hosts/facts.js';
import { exitCodes } from '../../errors/error.js';
import { doorsOf, notebookUser, trustedAtFirstSight, type Door } from '../../cluster/exposure.js';
import { etcdSecurity, tlsFiles, type ClusterSpec } from '../../cluster/spec.js';
import type { AgentReport } from '../../mesos/installation/agent-needs.js';
import type { Problem } from '../../hosts/problem.js';
import { listens } from '../../net/listens.js';
import type { SshPool } from '../../ssh/connection.js';
import {
  endingTexts,
  etcdCertificateNames,
  expiredProblems,
  httpsCertificateNames,
  placed,
  type HostCertificate,
} from '../../status/certificates.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { printJson, printText, textColumns } from '../io.js';
import { typeable } from '../program.js';
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
    'opens, who gets in, and which of them accept connections from this machine now. For the agents of a real ' +
    'Mesos it prints their version, control groups, Docker, launcher and isolators, and what does not fit ' +
    'together. Certificates that end ' +
    'within 30 days are named, and one that has expired is an error.',
  args: { file: fileArgument },
  options: { file: fileOption },
  async run(context, { args, options }) {
    const { spec, file } = await openSpec(context, givenFile(args.file, options.file), { files: true });
    const pins = knownHostsDir(context.env);
    const { survey, certificates } = await withHosts(context, async (pool) => {
      const { surveyCluster } = await import('../../deployment/cluster-survey.js');
      const found = await surveyCluster(pool, spec, pins, context.signal);
      return { survey: found, certificates: await hostCertificates(pool, spec, found) };
    });
    const { hosts, pinned } = survey;
    const expired = expiredProblems(placed(certificates));
    const problems = [...survey.problems, ...expired];
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
        certificates,
        agents: hosts.flatMap(({ agent }) => agent ?? []),
      });
    } else printText(context, checkText(spec, file, { ...survey, expired, certificates }, exposure, context));
    const [first] = problems;
    return first === undefined ? exitCodes.done : exitCodeOf(first.code);
  },
});

function checkText(
  spec: ClusterSpec,
  file: string,
  { hosts, pinned, problems, expired, certificates }: Checked,
  exposure: readonly Exposure[],
  context: CommandContext,
): string {
  const { colors } = context;
  const columns = textColumns(context);
  const blocking = grouped(problems);
  const shown = [...blocking, ...expired].map((problem) => withCommands(problem, context.program));
  const agents = hosts.flatMap(({ agent }) => agent ?? []);
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
    ...agentLines(agents, context),
    ...shown.flatMap((problem) => ['', ...problemLines(problem, colors, columns)]),
    '',
    ...exposureLines(exposure, context),
    ...notebookLines(spec, context),
    ...certificateLines(spec, context),
    ...hostCertificateLines(certificates, context),
    ...firstSightLines(spec, context),
    '',
    `${file}: ${verdictText(blocking.length, expired.length, context)}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** What each agent runs on, hosts alike together, and below it what does not fit. */
function agentLines(agents: readonly AgentReport[], context: CommandContext): string[] {
  const columns = textColumns(context);
  const textOf = ({ facts, warnings }: AgentReport) => [...facts, ...warnings].join('\n');
  const distinct = [...new Map(agents.map((agent) => [textOf(agent), agent])).values()];
  return distinct.flatMap((agent, index) => {
    const same = agents.filter((each) => textOf(each) === textOf(agent)).map(({ host }) => host);
    return [
      ...(index === 0 ? [''] : []),
      ...hanging('', `Agents of ${same.join(', ')}: ${agent.facts.join('; ')}.`, columns),
      ...agent.warnings.flatMap((text) => hanging('  ', context.colors.yellow(text), columns)),
    ];
  });
}

/** What has expired blocks no deployment: one may renew it. */
interface Checked extends Survey {
  readonly expired: readonly Problem[];
  readonly certificates: readonly HostCertificate[];
}

function verdictText(blocking: number, expired: number, { colors }: CommandContext): string {
  const ended = expired === 1 ? '1 certificate has expired' : `${expired} certificates have expired`;
  if (blocking === 0) return expired === 0 ? colors.green('no problems found') : colors.red(ended);
  return colors.red(expired === 0 ? blockText(blocking) : `${blockText(blocking)}, and ${ended}`);
}

/** Of the hosts that were surveyed; the others are reported already. */
async function hostCertificates(
  pool: SshPool,
  spec: ClusterSpec,
  { hosts }: Survey,
): Promise<readonly HostCertificate[]> {
  const names = [
    ...(etcdSecurity(spec) === 'open' ? [] : etcdCertificateNames),
    ...(spec.proxy.tls === undefined || tlsFiles(spec) !== undefined ? [] : httpsCertificateNames),
  ];
  if (names.length === 0) return [];
  const { surveyCertificates } = await import('../../status/certificates-survey.js');
  const surveyed = spec.hosts.filter(({ name }) => hosts.some(({ host }) => host === name));
  return surveyCertificates(pool, surveyed, names, { now: new Date(), timeoutMs: readMs });
}

function hostCertificateLines(certificates: readonly HostCertificate[], context: CommandContext): string[] {
  const { colors, program } = context;
  const unread = certificates.flatMap(({ host, name, certificate }) =>
    certificate === null ? [`When ${name} on ${host} ends is not known.`] : [],
  );
  const ending = endingTexts(placed(certificates), new Date()).map(
    (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`,
  );
  return [...unread, ...ending].flatMap((text) =>
    hanging('', colors.yellow(typeable(text, program)), textColumns(context)),
  );
}

interface Exposure extends Omit<Door, 'places'> {
  /** Hosts whose port accepts connections from this machine; null for ports of nodes, which are not tried. */
  readonly reached: readonly string[] | null;
}

const reachMs = 1_000;
const readMs = 10_000;

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
/** Of a certificate of the cluster, hosts tell. */
function certificateEnd(spec: ClusterSpec, now: Date): Expiry | undefined {
  const tls = tlsFiles(spec);
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
