import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { messageOf } from '../../errors/error.js';
import type { Log } from '../log.js';
import type { Registry, RegistryContent } from './registry.js';

/** Why a master's registry replica is unreadable, with leveldb's message. */
export class CorruptReplica extends Error {}

/**
 * A master's replica of the registry, below its `work_dir` where Mesos keeps its log replica. Its content is
 * never used; it is checked at startup, and like Mesos, a master with a corrupt replica does not start.
 */
export class Replica {
  readonly #file: string;
  /** Number of writes. */
  position = 0;

  /** @throws CorruptReplica */
  constructor(workDir: string) {
    const directory = path.join(workDir, 'replicated_log');
    mkdirSync(directory, { recursive: true });
    this.#file = path.join(directory, '000003.log');
    const text = this.#read();
    if (text === undefined) return;
    const [, sum, position, content = ''] = /^([0-9a-f]{64}) (\d+) (.*)\n$/s.exec(text) ?? [];
    if (sum !== sumOf(content)) throw new CorruptReplica(`Corruption: checksum mismatch: ${this.#file}`);
    this.position = Number(position);
  }

  write(content: RegistryContent): void {
    const text = JSON.stringify(content);
    writeFileSync(`${this.#file}.new`, `${sumOf(text)} ${this.position + 1} ${text}\n`);
    renameSync(`${this.#file}.new`, this.#file);
    this.position += 1;
  }

  #read(): string | undefined {
    try {
      return readFileSync(this.#file, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw new CorruptReplica(`IO error: ${this.#file}: ${messageOf(error)}`);
    }
  }
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A registry that also writes its content to the replica. */
export function replicated(registry: Registry, replica: Replica, log: Log): Registry {
  return {
    recover: async () => {
      const content = await registry.recover();
      copyTo(replica, content, log);
      return content;
    },
    store: async (content) => {
      await registry.store(content);
      copyTo(replica, content, log);
    },
  };
}

/** A full disk does not stop a master: as in Mesos, it continues with a stale replica. */
export function copyTo(replica: Replica, content: RegistryContent, log: Log): void {
  try {
    replica.write(content);
  } catch (error) {
    log.error(`Error writing to log: ${messageOf(error)}`);
  }
}
