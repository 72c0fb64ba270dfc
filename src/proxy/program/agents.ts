import http from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** An agent that takes its connections from `connect`, and can be told to keep none. */
export class DialAgent extends http.Agent {
  keepIdle = true;

  constructor(
    private readonly connect: () => Promise<Socket>,
    options?: http.AgentOptions,
  ) {
    super({ ...options, keepAlive: true });
  }

  override createConnection(
    _options: http.ClientRequestArgs,
    oncreate?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    this.connect().then(
      (socket) => oncreate?.(null, socket),
      // The agent hands the error on and never looks at the socket then.
      (error: unknown) => (oncreate as ((error: unknown) => void) | undefined)?.(error),
    );
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // The type says void; Node reads the answer, which tells whether the server would keep it too.
    return this.keepIdle && (super.keepSocketAlive(socket) as unknown) !== false;
  }
}

/** An agent for the one request whose connection was made before. */
export class PreparedAgent extends http.Agent {
  constructor(private readonly socket: Socket) {
    super();
  }

  override createConnection(): Duplex {
    return this.socket;
  }
}
