/** Why a request cannot be passed on, for people and programs. */
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
  /** Chosen, and its gate was not open since. */
  starting: { code: 'STARTING', message: (node: string) => `${node} leads. Its Jupyter is starting.` },
  /** No gate is open, and nodes and proxies find the next one by themselves. */
  electing: {
    code: 'NO_LEADER',
    message: (node: string) => `${node} no longer leads. etcd is electing the node that serves Jupyter next.`,
  },
  /** As `electing`, where the keeper alone moves Jupyter. */
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

/** What an API client gets, with status 503. */
export interface WaitingAnswer {
  readonly code: (typeof phases)[keyof typeof phases]['code'];
  readonly message: string;
  readonly node: string | null;
  /** Since when nobody gets through. ISO 8601. */
  readonly since: string;
  /** For clients whose clock differs. */
  readonly waitedMs: number;
}

/** What the waiting page asks for, at `statusPath`. */
export type WaitingStatus = { readonly ready: true } | ({ readonly ready: false } & WaitingAnswer);

/** Answered by the proxy itself; Jupyter has nothing there. */
export const statusPath = '/.perijove/status';

export const retryAfterSeconds = 1;

/** One sentence that says what is being waited for. */
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
