import http from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** An agent that gets its connections from `connect`, and can disable keep-alive. */
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
      // On an error the agent never reads the socket.
      (error: unknown) => (oncreate as ((error: unknown) => void) | undefined)?.(error),
    );
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // Declared void, but Node uses the result: whether the server also keeps the connection.
    return this.keepIdle && (super.keepSocketAlive(socket) as unknown) !== false;
  }
}

/** An agent for one request over an existing connection. */
export class PreparedAgent extends http.Agent {
  constructor(private readonly socket: Socket) {
    super();
  }

  override createConnection(): Duplex {
    return this.socket;
  }
}
