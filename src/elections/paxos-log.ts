/**
 * What a Mesos master logs about leadership and about the replicated log, which is a Multi-Paxos: pure.
 *
 * The messages are those of Mesos 1.3 to 1.11 (`contender.cpp`, `detector.cpp`, `log.cpp`, `coordinator.cpp`,
 * `replica.cpp`, `registrar.cpp`). The stand-in has no replicated log, and logs only those about leadership.
 */
import { linesOf, type Step } from './member-log.js';

export type PaxosKind =
  /** The master opened its replica: `position` is the last one in it. */
  | 'replica'
  /** It entered the contest with znode number `sequence`. */
  | 'contends'
  | 'lost-zookeeper'
  | 'session-expired'
  /** Its znode number `sequence` is gone. */
  | 'cancelled'
  | 'exits'
  /** It saw that the lowest znode is number `sequence`; without a number, that there is none. */
  | 'detects'
  /** It read from that znode that the master at `peer` leads. */
  | 'leader'
  | 'elected'
  | 'recovers'
  | 'starts-writer'
  /** Prepare: the coordinator at `peer` asks for a promise for all positions. */
  | 'promise-asked'
  | 'promises'
  | 'denies'
  /** Prepare for one position, whose value is not known to be chosen. */
  | 'position-asked'
  | 'fills'
  | 'writer-started'
  /** The coordinator proposes a value for a position. */
  | 'proposes'
  /** Accept: a replica is asked to write a position. */
  | 'write-asked'
  /** Learn: the value of a position is chosen. */
  | 'learned'
  | 'registrar-recovered';

export interface PaxosStep extends Step {
  readonly kind: PaxosKind;
  readonly sequence?: number;
  readonly proposal?: number;
  readonly position?: number;
  /** `address:port` of the other master. */
  readonly peer?: string;
  /** Of `proposes`: `APPEND`, `TRUNCATE` or `NOP`. */
  readonly action?: string;
}

type Rule = readonly [
  pattern: RegExp,
  kind: PaxosKind,
  fields?: readonly ('sequence' | 'proposal' | 'position' | 'peer' | 'action')[],
];

const from = String.raw`from \S+?@([\d.]+:\d+)`;

const rules: readonly Rule[] = [
  [/^Replica recovered with log positions \d+ -> (\d+)/, 'replica', ['position']],
  [/^New candidate \(id='(\d+)'\) has entered the contest/, 'contends', ['sequence']],
  [/^Lost connection to ZooKeeper/, 'lost-zookeeper'],
  [/^ZooKeeper session expired/, 'session-expired'],
  [/^Membership cancelled: (\d+)/, 'cancelled', ['sequence']],
  [/^Lost leadership\.\.\./, 'exits'],
  [/^Detected a new leader: \(id='(\d+)'\)/, 'detects', ['sequence']],
  [/^Detected a new leader: None/, 'detects'],
  [/^A new leading master \(UPID=\S+?@([\d.]+:\d+)\) is detected/, 'leader', ['peer']],
  [/^Elected as the leading master!/, 'elected'],
  [/^Recovering from registrar/, 'recovers'],
  [/^Attempting to start the writer/, 'starts-writer'],
  [
    new RegExp(`^Replica received implicit promise request ${from} with proposal (\\d+)`),
    ...(['promise-asked', ['peer', 'proposal']] as const),
  ],
  [/^Replica denying promise request with proposal (\d+)/, 'denies', ['proposal']],
  [/^Persisted promised to (\d+)/, 'promises', ['proposal']],
  [
    new RegExp(`^Replica received explicit promise request ${from} for position (\\d+) with proposal (\\d+)`),
    ...(['position-asked', ['peer', 'position', 'proposal']] as const),
  ],
  [/^Coordinator attempting to fill missing positions/, 'fills'],
  [/^Writer started with ending position (\d+)/, 'writer-started', ['position']],
  [/^Coordinator attempting to write (\w+) action at position (\d+)/, 'proposes', ['action', 'position']],
  [
    new RegExp(`^Replica received write request for position (\\d+) ${from}`),
    ...(['write-asked', ['position', 'peer']] as const),
  ],
  [/^Replica received learned notice for position (\d+) /, 'learned', ['position']],
  [/^Successfully recovered registrar/, 'registrar-recovered'],
];

/** Of glog: severity and day, time, thread, source. */
const head = /^[IWEF]\d{4} [\d:.]+ +\d+ [^\]]*\] /;

/** The steps of a master, in the order of its log. */
export function paxosSteps(member: string, log: string): PaxosStep[] {
  return linesOf(log).flatMap(({ at, text }) => {
    const message = text.replace(head, '');
    for (const [messagePattern, kind, fields = []] of rules) {
      const match = messagePattern.exec(message);
      if (!match) continue;
      const found = fields.map((name, index) => {
        const value = match[index + 1] ?? '';
        return [name, name === 'peer' || name === 'action' ? value : Number(value)];
      });
      return [{ at, member, evidence: text, kind, ...(Object.fromEntries(found) as Partial<PaxosStep>) }];
    }
    return [];
  });
}
