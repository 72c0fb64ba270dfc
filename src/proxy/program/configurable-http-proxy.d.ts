/** What is used here of configurable-http-proxy, which ships no types of its own. */
declare module 'configurable-http-proxy' {
  import type { EventEmitter } from 'node:events';
  import type {
    Agent,
    ClientRequest,
    IncomingHttpHeaders,
    IncomingMessage,
    Server,
    ServerResponse,
  } from 'node:http';
  import type { Duplex } from 'node:stream';

  export interface ProxyLog {
    debug(message: string, ...values: unknown[]): void;
    info(message: string, ...values: unknown[]): void;
    warn(message: string, ...values: unknown[]): void;
    error(message: string, ...values: unknown[]): void;
  }

  export interface ProxyOptions {
    readonly log: ProxyLog;
    /** Add `X-Forwarded-*`. */
    readonly xfwd: boolean;
    /** Replace `Host` by the target's. */
    readonly changeOrigin: boolean;
    /** Of idle connections from clients, in milliseconds. */
    readonly keepAliveTimeout: number;
  }

  interface ProxyEvents extends EventEmitter {
    on(
      event: 'proxyReq',
      listener: (upstream: ClientRequest, request: IncomingMessage, response: ServerResponse) => void,
    ): this;
    on(
      event: 'proxyRes',
      listener: (answer: IncomingMessage, request: IncomingMessage, response: ServerResponse) => void,
    ): this;
    on(
      event: 'proxyReqWs',
      listener: (upstream: ClientRequest, request: IncomingMessage, socket: Duplex) => void,
    ): this;
    on(event: 'error' | 'econnreset', listener: (error: Error) => void): this;
  }

  export class ConfigurableProxy extends EventEmitter {
    constructor(options: ProxyOptions);
    readonly proxyServer: Server;
    readonly proxy: ProxyEvents;
    targetForReq(request: IncomingMessage): Promise<{ prefix: string; target: string } | undefined>;
    proxyOptsForTarget(target: URL): {
      target: URL;
      secure: boolean;
      agent: Agent;
      headers?: IncomingHttpHeaders;
    };
    updateLastActivity(prefix: string): Promise<void>;
    handleProxyError(
      code: number,
      kind: 'web' | 'ws',
      request: IncomingMessage,
      response: ServerResponse | Duplex,
      error?: Error & { readonly code?: string },
    ): void;
    handleProxyWeb(request: IncomingMessage, response: ServerResponse): Promise<void> | undefined;
    handleProxyWs(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> | undefined;
  }
}
