import { appendFileSync, closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { isTerminal, taskStatusKind, type TaskStatus } from '../messages.js';
import { message, optional, readMessage, string } from '../proto.js';

const entryKind = message({ update: optional(taskStatusKind), acknowledged: optional(string) });

const firstRetryMs = 10_000;
const longestRetryMs = 600_000;

/**
 * The status updates of one task, stored before they are sent. They are sent one at a time, and again after
 * 10 s, 20 s, … (at most 10 min) until acknowledged. The intervals are those of the real agent.
 */
export class UpdateStream {
  readonly #file: string;
  readonly #send: (status: TaskStatus, latest: TaskStatus) => void;
  readonly #all: TaskStatus[] = [];
  #acknowledged = 0;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = firstRetryMs;
  #paused = true;

  /** Loads the file if it exists; sends nothing before `flush`. */
  constructor(file: string, send: (status: TaskStatus, latest: TaskStatus) => void) {
    this.#file = file;
    this.#send = send;
    for (const { update, acknowledged } of readEntries(file)) {
      if (update) this.#all.push(update);
      if (acknowledged !== undefined) this.#acknowledged += 1;
    }
  }

  /** All updates so far, oldest first. */
  get statuses(): readonly TaskStatus[] {
    return this.#all;
  }

  get latest(): TaskStatus | undefined {
    return this.#all.at(-1);
  }

  /** A terminal state was reached. */
  get ended(): boolean {
    return this.latest !== undefined && isTerminal(this.latest.state);
  }

  /** A terminal state was reached and acknowledged. */
  get settled(): boolean {
    return this.ended && this.#acknowledged === this.#all.length;
  }

  has(uuid: string): boolean {
    return this.#all.some((status) => status.uuid === uuid);
  }

  add(status: TaskStatus): void {
    this.#append({ update: status });
    this.#all.push(status);
    if (this.#all.length === this.#acknowledged + 1) this.#sendHead();
  }

  /** False when it is not the update awaiting acknowledgement. */
  acknowledge(uuid: string): boolean {
    const head = this.#all[this.#acknowledged];
    if (head?.uuid !== uuid) return false;
    this.#append({ acknowledged: uuid });
    this.#acknowledged += 1;
    clearTimeout(this.#retry);
    this.#retryMs = firstRetryMs;
    this.#sendHead();
    return true;
  }

  /** The agent is registered: sends the pending update. */
  flush(): void {
    this.#paused = false;
    this.#retryMs = firstRetryMs;
    this.#sendHead();
  }

  pause(): void {
    this.#paused = true;
    clearTimeout(this.#retry);
  }

  #sendHead(): void {
    clearTimeout(this.#retry);
    const head = this.#all[this.#acknowledged];
    const { latest } = this;
    if (this.#paused || !head || !latest) return;
    this.#send(head, latest);
    this.#retry = setTimeout(() => {
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
      this.#sendHead();
    }, this.#retryMs);
  }

  #append(entry: { readonly update?: TaskStatus; readonly acknowledged?: string }): void {
    const descriptor = openSync(this.#file, 'a');
    try {
      writeSync(descriptor, `${JSON.stringify(entry)}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** The last line may be incomplete if the agent was killed while writing it: it was never sent. */
function readEntries(file: string) {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  if (text !== '' && !text.endsWith('\n')) appendFileSync(file, '\n');
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [readMessage(entryKind, JSON.parse(line))];
    } catch {
      return [];
    }
  });
}
