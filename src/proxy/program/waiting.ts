/** Why a request cannot be forwarded, for browsers and programs. */
export type Waiting =
  | { readonly reason: 'no-route'; readonly since: Date }
  | {
      readonly reason: Exclude<keyof typeof phases, 'no-route'>;
      readonly node: string;
      readonly since: Date;
    };

const phases = {
  'no-route': {
    code: 'NO_ROUTE',
    message: () => 'There is no route to Jupyter yet: no node has been selected to serve it.',
  },
  /** Selected, and its gate has not been open since. */
  starting: { code: 'STARTING', message: (node: string) => `${node} leads. Its Jupyter is starting.` },
  /** No gate is open; nodes and proxies find the next one automatically. */
  electing: {
    code: 'NO_LEADER',
    message: (node: string) => `${node} no longer leads. etcd is electing the node that serves Jupyter next.`,
  },
  /** As `electing`, but only the keeper moves Jupyter. */
  shut: {
    code: 'SHUT',
    message: (node: string) =>
      `Jupyter on ${node} is closed at the moment. It reopens, or moves to another node.`,
  },
  'no-answer': {
    code: 'NO_ANSWER',
    message: (node: string) =>
      `Jupyter on ${node} does not respond. If the node is lost, another one takes over.`,
  },
} as const;

/** Response body for API clients, with status 503. */
export interface WaitingAnswer {
  readonly code: (typeof phases)[keyof typeof phases]['code'];
  readonly message: string;
  readonly node: string | null;
  /** Start of the outage. ISO 8601. */
  readonly since: string;
  /** For clients with a different clock. */
  readonly waitedMs: number;
}

/** Response to the waiting page, at `statusPath`. */
export type WaitingStatus = { readonly ready: true } | ({ readonly ready: false } & WaitingAnswer);

/** Handled by the proxy itself; Jupyter does not use this path. */
export const statusPath = '/.perijove/status';

export const retryAfterSeconds = 1;

/** One sentence about what the request waits for. */
export function waitingAnswer(waiting: Waiting, now: Date): WaitingAnswer {
  const { code, message } = phases[waiting.reason];
  const node = waiting.reason === 'no-route' ? null : waiting.node;
  return {
    code,
    message: message(node ?? ''),
    node,
    since: waiting.since.toISOString(),
    waitedMs: Math.max(0, now.getTime() - waiting.since.getTime()),
  };
}
