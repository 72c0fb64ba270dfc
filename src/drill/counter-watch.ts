import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import type { ProxyAddress } from '../proxy/address.js';
import { channelsOf, printedIn } from './counters.js';
import { every } from './every.js';
import { withNumber, type Counter, type NumberRange, type Tally } from './kernels.js';

const connectEveryMs = 200;
const handshakeMs = 5_000;
/** After a refusal: the kernel is gone, or nobody knows where it is. */
const refusedMs = 2_000;

/** The output of a drill's kernels, each as it comes through its hosts, like an open page of JupyterLab. */
export class CounterWatch {
  readonly #counters: readonly WatchedCounter[];

  /** @param address of the proxy of a host */
  constructor(counters: readonly Counter[], token: string, address: (host: string) => Promise<ProxyAddress>) {
    this.#counters = counters.map(
      (counter) =>
        new WatchedCounter(
          counter,
          counter.through.map((host) => new CounterSocket(counter.kernel, token, () => address(host))),
        ),
    );
  }

  /** Output of each has come. */
  get isReady(): boolean {
    return this.#counters.every(({ last }) => last !== undefined);
  }

  loops(signal: AbortSignal): Promise<void>[] {
    return this.#counters.flatMap((counter) => counter.loops(signal));
  }

  /** From now on `counting` asks for new numbers. */
  healed(): void {
    for (const counter of this.#counters) counter.mark();
  }

  /** By node: whether its kernel has printed since `healed`; undefined while no websocket to it is open. */
  counting(): Readonly<Record<string, boolean | undefined>> {
    return Object.fromEntries(this.#counters.map((counter) => [counter.node, counter.isCounting]));
  }

  tallies(): Tally[] {
    return this.#counters.map((counter) => counter.tally());
  }

  end(): void {
    for (const counter of this.#counters) counter.end();
  }
}

class WatchedCounter {
  #seen: readonly NumberRange[] = [];
  readonly #missing: NumberRange[] = [];
  readonly #late: number[] = [];
  #mark: number | undefined;

  constructor(
    private readonly counter: Counter,
    private readonly sockets: readonly CounterSocket[],
  ) {}

  get node(): string {
    return this.counter.node;
  }

  get last(): number | undefined {
    return this.#seen.at(-1)?.[1];
  }

  get isCounting(): boolean | undefined {
    const { last } = this;
    if (last !== undefined && (this.#mark === undefined || last > this.#mark)) return true;
    return this.sockets.some(({ isOpen }) => isOpen) ? false : undefined;
  }

  mark(): void {
    this.#mark = this.last;
  }

  loops(signal: AbortSignal): Promise<void>[] {
    return this.sockets.map((socket) =>
      every(signal, connectEveryMs, () => socket.connect((number, before) => this.#take(number, before))),
    );
  }

  #take(number: number, before: number | undefined): void {
    if (before !== undefined && number <= before) this.#late.push(number);
    else if (before !== undefined && number > before + 1) this.#missing.push([before + 1, number - 1]);
    this.#seen = withNumber(this.#seen, number);
  }

  tally(): Tally {
    return { node: this.node, seen: this.#seen, missing: [...this.#missing], late: [...this.#late] };
  }

  end(): void {
    for (const socket of this.sockets) socket.end();
  }
}

class CounterSocket {
  /** As JupyterLab does: who comes back with it gets what was printed meanwhile. */
  readonly #session = randomUUID();
  #socket: WebSocket | undefined;
  #notBefore = 0;
  #isEnded = false;

  constructor(
    private readonly kernel: string,
    private readonly token: string,
    private readonly address: () => Promise<ProxyAddress>,
  ) {}

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** @param take gets each number, and the one before it on the same connection */
  async connect(take: (number: number, before: number | undefined) => void): Promise<void> {
    if (this.#socket || performance.now() < this.#notBefore) return;
    const { url, agent } = await this.address();
    if (this.#isEnded) return;
    const socket = new WebSocket(channelsOf(url, this.kernel, this.#session), {
      headers: { authorization: `token ${this.token}` },
      handshakeTimeout: handshakeMs,
      ...(agent && { agent }),
    });
    this.#socket = socket;
    socket.on('unexpected-response', (_request, response) => {
      this.#notBefore = performance.now() + refusedMs;
      response.resume();
      socket.terminate();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => (this.#socket = undefined));
    const lines = new Lines(take);
    socket.on('message', (data, binary) => {
      const text = binary || !Buffer.isBuffer(data) ? undefined : printedIn(data.toString());
      if (text !== undefined) lines.take(text);
    });
  }

  end(): void {
    this.#isEnded = true;
    this.#socket?.terminate();
  }
}

/** The numbers of one connection. */
class Lines {
  #rest = '';
  #last: number | undefined;

  constructor(private readonly report: (number: number, before: number | undefined) => void) {}

  take(text: string): void {
    const lines = `${this.#rest}${text}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!/^\d+$/.test(line)) continue;
      const number = Number(line);
      this.report(number, this.#last);
      this.#last = number;
    }
  }
}
