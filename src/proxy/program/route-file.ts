import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { replaceFile } from '../../net/files.js';
import { routeSchema, type Route } from '../api.js';

/** The last route on disk, for a restart. Writes are serialized; the newest one wins. */
export class RouteFile {
  #writing: Promise<void> = Promise.resolve();
  #newest: Route | undefined;
  #stored = false;
  #closed = false;

  constructor(
    readonly file: string,
    private readonly logger: Logger,
  ) {}

  /** Whether the newest route is on disk. */
  get stored(): boolean {
    return this.#stored;
  }

  /**
   * The stored route. Undefined when none was stored yet, or when it is not of this version, which is logged.
   */
  async load(): Promise<Route | undefined> {
    try {
      const route = routeSchema.parse(JSON.parse(await readFile(this.file, 'utf8')));
      const names = route.nodes.map(({ name }) => name);
      if (!names.includes(route.node) || !names.includes(route.serving.node))
        throw new Error('the route does not lead to any of its nodes');
      this.#stored = true;
      return route;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        const { file, logger } = this;
        logger.error({ err: error, file }, 'the stored route cannot be read; waiting for a new one');
      }
      return undefined;
    }
  }

  /** Stores nothing more: another process does. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Resolves to whether the route is on disk. It is already in force: a full disk must not keep users from
   * Jupyter, so this never rejects.
   */
  async store(route: Route): Promise<boolean> {
    this.#newest = route;
    this.#stored = false;
    this.#writing = this.#writing.then(async () => {
      // One write covers all routes that arrived during the previous write.
      if (this.#stored || this.#closed || this.#newest === undefined) return;
      const writing = this.#newest;
      try {
        await replaceFile(this.file, `${JSON.stringify(writing)}\n`, 0o600);
        this.#stored = writing === this.#newest;
      } catch (error) {
        this.logger.error({ err: error }, 'the route could not be stored; a restart would lose it');
      }
    });
    await this.#writing;
    return this.#stored;
  }
}
